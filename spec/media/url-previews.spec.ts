import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import sharp from 'sharp';
import { pageSummary } from '../../homeserver/features/media/page-summary.ts';
import { authority, bytes, close, json, listen, refusal, startServer } from './support.ts';
import type { Authority, Person, TestServer } from './support.ts';

describe('Previews of web pages', () => {
  let tls: Authority;
  let luebeck: TestServer;
  let bert: Person;
  let web: Server;
  let base: string;
  const pages = new Map<string, (response: ServerResponse) => void>();
  const visits: string[] = [];

  beforeAll(async () => {
    tls = await authority();
    luebeck = await startServer('luebeck.example', tls, { hosts: new Map([['inside.example', '10.0.0.1']]) });
    bert = await luebeck.person('bert');
    web = createServer((request, response) => {
      visits.push(request.url ?? '');
      const page = pages.get(request.url ?? '');
      if (page) page(response);
      else response.writeHead(404).end();
    });
    base = `http://127.0.0.1:${String(await listen(web))}`;
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), close(web)]);
    await rm(tls.folder, { recursive: true });
  });

  const preview = (url: string): Promise<Response> =>
    bert.ask('GET', `/client/v1/media/preview_url?url=${encodeURIComponent(url)}`);
  const page =
    (html: string | Buffer, type = 'text/html') =>
    (response: ServerResponse): void => {
      response.setHeader('content-type', type).end(html);
    };

  it('tell what the page says of itself, with its picture kept here', async () => {
    const picture = await sharp({ create: { width: 279, height: 129, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    pages.set('/a/test.png', page(picture, 'image/png'));
    pages.set(
      '/a/film.html',
      page(`<html prefix="og: http://ogp.me/ns#"><head><title>The Rock (1996)</title>
        <meta property="og:title" content="The Rock &amp; &lt;more&gt;" /><meta property="og:type" content="video.movie">
        <meta property="og:url" content="http://film.example/"><meta property="og:image" content="test.png" /></head>`),
    );
    const body = await json(await preview(`${base}/a/film.html`));
    expect(body).toEqual({
      'og:title': 'The Rock & <more>',
      'og:type': 'video.movie',
      'og:url': 'http://film.example/',
      'og:image': jasmine.stringMatching(/^mxc:\/\/luebeck\.example:\d+\/[A-Za-z0-9_-]{24}$/),
      'og:image:type': 'image/png',
      'og:image:width': 279,
      'og:image:height': 129,
      'matrix:image:size': picture.length,
    });
    const media = String(body['og:image']).slice('mxc://'.length);
    expect(await bytes(await bert.ask('GET', `/client/v1/media/download/${media}`))).toEqual(picture);
    const before = visits.length;
    const path = `/media/v3/preview_url?url=${encodeURIComponent(`${base}/a/film.html#again`)}`;
    expect(await json(await bert.ask('GET', path))).toEqual(body);
    expect(visits.length).toBe(before);
    const alone = await json(await preview(`${base}/a/test.png`));
    expect([alone['og:image:width'], alone['matrix:image:size']]).toEqual([279, picture.length]);
  });

  it('make do with a title, in whatever encoding, and without a picture that can not be had', async () => {
    pages.set(
      '/latin',
      page(
        Buffer.from('<title>Gr\xfc\xdfe</title><meta name=description content=Kurz>', 'latin1'),
        'text/html; charset=iso-8859-1',
      ),
    );
    pages.set('/meta', page(Buffer.from('<meta charset=windows-1252><title>\x80 5</title>', 'latin1')));
    pages.set(
      '/odd',
      page('<title>A\u0000  b\n</title><meta charset=nonsense><meta property=og:image content=/missing>'),
    );
    pages.set('/fake', page('<title>x</title><meta property=og:image content=/text>'));
    pages.set('/text', page('<svg/>', 'image/svg+xml'));
    pages.set('/inside', page('<title>x</title><meta property=og:image content="http://10.0.0.1/a.png">'));
    expect(await json(await preview(`${base}/latin`))).toEqual({ 'og:title': 'Grüße', 'og:description': 'Kurz' });
    expect(await json(await preview(`${base}/meta`))).toEqual({ 'og:title': '€ 5' });
    expect(await json(await preview(`${base}/odd`))).toEqual({ 'og:title': 'A b' });
    expect(await json(await preview(`${base}/fake`))).toEqual({ 'og:title': 'x' });
    expect(await json(await preview(`${base}/text`))).toEqual({});
    expect(await json(await preview(`${base}/inside`))).toEqual({ 'og:title': 'x' });
    pages.set('/pdf', page('%PDF', 'application/pdf'));
    expect(await json(await preview(`${base}/pdf`))).toEqual({});
  });

  it('are not taken from within our own network, directly or on a detour', async () => {
    pages.set('/detour', (response) => response.writeHead(302, { location: 'http://inside.example/' }).end());
    pages.set('/circle', (response) => response.writeHead(302, { location: '/circle' }).end());
    for (const url of [
      'http://10.0.0.1/',
      'http://inside.example/',
      'http://[::1]/',
      'http://169.254.169.254/x',
      `${base}/detour`,
    ]) {
      expect(await refusal(preview(url))).toEqual([403, 'M_FORBIDDEN']);
    }
    for (const url of [`${base}/missing`, `${base}/circle`]) {
      expect(await refusal(preview(url))).toEqual([502, 'M_UNKNOWN']);
    }
    for (const url of ['file:///etc/passwd', 'nonsense', `${base}/${'a'.repeat(3000)}`]) {
      expect(await refusal(preview(url))).toEqual([400, 'M_INVALID_PARAM']);
    }
    expect(await refusal(bert.ask('GET', '/client/v1/media/preview_url'))).toEqual([400, 'M_MISSING_PARAM']);
    const other = `${luebeck.url}/_matrix/client/v1/media/preview_url?url=x`;
    expect(await refusal(fetch(other))).toEqual([401, 'M_MISSING_TOKEN']);
  });

  it('need the beginning of a page only, however long it is', async () => {
    let closed = false;
    pages.set('/long', (response) => {
      response.setHeader('content-type', 'text/html').write('<title>long</title>');
      const timer = setInterval(() => response.write('<p>'.repeat(20_000)), 1);
      response.on('close', () => {
        clearInterval(timer);
        closed = true;
      });
    });
    expect(await json(await preview(`${base}/long`))).toEqual({ 'og:title': 'long' });
    while (!closed) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('are made only where that is switched on', async () => {
    const hamburg = await startServer('hamburg.example', tls, { urlPreviews: false });
    const dora = await hamburg.person('dora');
    expect(await refusal(dora.ask('GET', '/client/v1/media/preview_url?url=http://a.example'))).toEqual([
      404,
      'M_UNRECOGNIZED',
    ]);
    await hamburg.close();
  });

  it('say no more than a page should, however much it says', () => {
    const metas = Array.from({ length: 2000 }, (_, index) => `<meta property="og:x${String(index)}" content="y">`).join(
      '',
    );
    const { properties, image } = pageSummary(
      `<svg><title>wrong</title></svg>${'<title>'.repeat(1000)}${'t'.repeat(9999)}</title>${metas}<meta property="og:type" content="late">
       <meta property="__proto__" content="x"><link rel=image_src href=/i.png>`,
    );
    expect(Object.keys(properties)).toEqual(['og:title']);
    expect(properties['og:title']?.length).toBe(1000);
    expect(image).toBe('/i.png');
  });
});
