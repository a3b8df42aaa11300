import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { authority, bytes, json, mediaOf, refusal, startServer } from './support.ts';
import type { Authority, Person, TestServer } from './support.ts';

describe('Files of people', () => {
  let tls: Authority;
  let luebeck: TestServer;
  let bert: Person;
  let clara: Person;

  beforeAll(async () => {
    tls = await authority();
    luebeck = await startServer('luebeck.example', tls, { quotaBytes: 2_500_000 });
    [bert, clara] = await Promise.all([luebeck.person('bert'), luebeck.person('clara')]);
  });

  afterAll(async () => {
    await luebeck.close();
    await rm(tls.folder, { recursive: true });
  });

  const download = (media: string): string => `/client/v1/media/download/${media}`;
  const port = (): number => Number(new URL(luebeck.url).port);

  it('come back byte by byte, with type and name, in headers that let no browser run them', async () => {
    const sent = Buffer.from([0, 255, 10, 13, 0]);
    const media = await bert.upload(sent, 'img/png', 'Bericht.png');
    const answer = await clara.ask('GET', download(media));
    expect(await bytes(answer)).toEqual(sent);
    expect(answer.headers.get('content-type')).toBe('img/png');
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename=Bericht.png');
    expect(answer.headers.get('content-length')).toBe('5');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('content-security-policy')).toMatch(/^sandbox; default-src 'none';/);
    expect(answer.headers.get('cross-origin-resource-policy')).toBe('cross-origin');
    expect(answer.headers.get('cache-control')).toBe('private, max-age=86400, immutable');
    const plain = await clara.ask('GET', download(await bert.upload('')));
    expect([plain.status, plain.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(await plain.text()).toBe('');
  });

  it('are inline only when browsers show them safely, whatever they are called', async () => {
    const cases: [string, string | undefined, string][] = [
      ['image/png', 'a.png', 'inline; filename=a.png'],
      ['text/plain; charset=utf-8', 'name with spaces', 'inline; filename="name with spaces"'],
      ['text/plain', 'name;with;semicolons', 'inline; filename="name;with;semicolons"'],
      ['text/plain', 'a"b\\c', 'inline; filename="a\\"b\\\\c"'],
      ['text/html', '🐔', "attachment; filename*=utf-8''%F0%9F%90%94"],
      ['image/svg+xml', undefined, 'attachment'],
      ['IMAGE/PNG', "l'été 50%.png", "inline; filename*=utf-8''l%27%C3%A9t%C3%A9%2050%25.png"],
      ['application/javascript', 'a\r\nSet-Cookie: x=y', 'attachment; filename="aSet-Cookie: x=y"'],
    ];
    for (const [type, name, expected] of cases) {
      const answer = await bert.ask('GET', download(await bert.upload('x', type, name)));
      expect([answer.headers.get('content-type'), answer.headers.get('content-disposition')]).toEqual([type, expected]);
    }
    const media = await bert.upload('x', 'image/png', 'a.png');
    const renamed = await bert.ask('GET', `${download(media)}/${encodeURIComponent('☕')}`);
    expect(renamed.headers.get('content-disposition')).toBe("inline; filename*=utf-8''%E2%98%95");
  });

  it('with a type that is none are bytes of no kind', async () => {
    for (const type of ['nonsense', 'text/html, text/plain', `a/${'b'.repeat(300)}`, 'text/html; x="\u00e4"']) {
      const answer = await bert.ask('GET', download(await bert.upload('x', type)));
      expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    }
  });

  it('are shown to people who are logged in, and neither taken from nor given to others', async () => {
    const media = await bert.upload('secret');
    for (const path of [
      download(media),
      `/client/v1/media/thumbnail/${media}?width=1&height=1`,
      '/client/v1/media/config',
    ]) {
      expect(await refusal(fetch(`${luebeck.url}/_matrix${path}`))).toEqual([401, 'M_MISSING_TOKEN']);
    }
    expect(await refusal(fetch(`${luebeck.url}/_matrix/media/v3/upload`, { method: 'POST', body: 'x' }))).toEqual([
      401,
      'M_MISSING_TOKEN',
    ]);
    for (const version of ['v3', 'r0', 'v1']) {
      expect(await refusal(bert.ask('GET', `/media/${version}/download/${media}`))).toEqual([404, 'M_NOT_FOUND']);
    }
    expect(await json(await bert.ask('GET', '/media/v3/config'))).toEqual({ 'm.upload.size': 1024 * 1024 });
    expect(await json(await bert.ask('GET', '/client/v1/media/config'))).toEqual({ 'm.upload.size': 1024 * 1024 });
    expect(await refusal(bert.ask('PATCH', '/media/v3/upload'))).toEqual([405, 'M_UNRECOGNIZED']);
    expect(await refusal(bert.ask('GET', '/media/v3/unknown'))).toEqual([404, 'M_UNRECOGNIZED']);
  });

  it('that nobody sent are not found, and no name leads out of the data folder', async () => {
    const names = ['x', '..%2F..%2F..%2Fetc%2Fpasswd', '%2e%2e', 'a%00b', 'a'.repeat(300), '%E2%98%95'];
    for (const server of [luebeck.name, '..%2F..', 'no server', '%00']) {
      for (const name of names) {
        const answer = await bert.ask('GET', `/client/v1/media/download/${server}/${name}`);
        expect([400, 404]).toContain(answer.status);
      }
    }
    expect(luebeck.logged.filter((line) => line.includes('a request failed'))).toEqual([]);
  });

  it('have a largest size, whether or not their length is told, and leave nothing behind', async () => {
    const before = await luebeck.files();
    const long = Buffer.alloc(1024 * 1024 + 1);
    expect(await refusal(bert.ask('POST', '/media/v3/upload', { body: long }))).toEqual([413, 'M_TOO_LARGE']);
    const head = `POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${bert.token}\r\n`;
    const socket = connect(port(), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(0x10000), Buffer.from('\r\n')]);
    let text = '';
    const ended = new Promise<void>((resolve) => {
      socket.on('data', (data: Buffer) => {
        text += data.toString();
      });
      socket.on('close', () => resolve());
    });
    // Without end: only the server can stop it.
    const writing = setInterval(() => socket.writable && socket.write(chunk), 1);
    await ended;
    clearInterval(writing);
    expect(text).toMatch(/^HTTP\/1\.1 413 [^]*M_TOO_LARGE/);
    expect(await luebeck.files()).toEqual(before);
  });

  it('that break off are not kept', async () => {
    const before = await luebeck.files();
    const socket = connect(port(), '127.0.0.1');
    socket.write(
      `POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${bert.token}\r\nContent-Length: 1000\r\n\r\nabc`,
    );
    while ((await luebeck.files()).incoming === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    socket.destroy();
    while ((await luebeck.files()).incoming > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await luebeck.files()).toEqual(before);
    expect(luebeck.logged.filter((line) => line.includes('a request failed'))).toEqual([]);
  });

  it('can be had in part, and not again when they are known', async () => {
    const media = await bert.upload('0123456789', 'text/plain');
    const cases: [string, number, string, string | null][] = [
      ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
      ['bytes=8-', 206, '89', 'bytes 8-9/10'],
      ['bytes=-3', 206, '789', 'bytes 7-9/10'],
      ['bytes=5-99', 206, '56789', 'bytes 5-9/10'],
      ['bytes=10-', 416, '', 'bytes */10'],
      ['bytes=4-2', 200, '0123456789', null],
      ['bytes=0-1,3-4', 200, '0123456789', null],
      ['lines=1-2', 200, '0123456789', null],
    ];
    for (const [range, status, text, contentRange] of cases) {
      const answer = await bert.ask('GET', download(media), { headers: { range } });
      expect([answer.status, await answer.text(), answer.headers.get('content-range')]).toEqual([
        status,
        text,
        contentRange,
      ]);
    }
    const etag = (await bert.ask('HEAD', download(media))).headers.get('etag') ?? '';
    expect((await bert.ask('GET', download(media), { headers: { 'if-none-match': etag } })).status).toBe(304);
  });

  it('that are equal lie on disk once, until nothing refers to them', async () => {
    const { blobs } = await luebeck.files();
    const [one, two] = [await bert.upload('the same'), await clara.upload('the same')];
    expect((await luebeck.files()).blobs).toBe(blobs + 1);
    for (const [media, left] of [
      [one, blobs + 1],
      [two, blobs],
    ] as const) {
      const [server = '', mediaId = ''] = media.split('/');
      expect(await luebeck.media.store.remove(server, mediaId)).toBe(true);
      await luebeck.media.cleanUp();
      expect((await luebeck.files()).blobs).toBe(left);
      expect(await refusal(bert.ask('GET', download(media)))).toEqual([404, 'M_NOT_FOUND']);
    }
  });

  it('of one person have a sum that is not passed', async () => {
    const dora = await luebeck.person('dora');
    const large = Buffer.alloc(1_000_000);
    await Promise.all([dora.upload(large), dora.upload(large)]);
    expect(await refusal(dora.ask('POST', '/media/v3/upload', { body: large }))).toEqual([403, 'M_FORBIDDEN']);
    await dora.upload(Buffer.alloc(500_000));
  });

  describe('that are announced', () => {
    async function announce(by: Person): Promise<string> {
      const body = await json(await by.ask('POST', '/media/v1/create'));
      expect(body['unused_expires_at']).toBeGreaterThan(Date.now() + 3_600_000);
      return mediaOf(body);
    }

    it('are waited for, and come to those who wait', async () => {
      const media = await announce(bert);
      for (const path of [download(media), `/media/v3/download/${media}`]) {
        expect(await refusal(bert.ask('GET', `${path}?timeout_ms=0`))).toEqual([504, 'M_NOT_YET_UPLOADED']);
      }
      const waiting = clara.ask('GET', `${download(media)}?timeout_ms=20000`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const init = { body: 'at last', headers: { 'content-type': 'text/plain' } };
      const sent = await bert.ask('PUT', `/media/v3/upload/${media}?filename=a.txt`, init);
      expect([sent.status, await json(sent)]).toEqual([200, {}]);
      const answer = await waiting;
      expect([await answer.text(), answer.headers.get('content-disposition')]).toEqual([
        'at last',
        'inline; filename=a.txt',
      ]);
    });

    it('are sent once, by who announced them, to where they were announced', async () => {
      const media = await announce(bert);
      const put = (by: Person, to: string): Promise<[number, unknown]> =>
        refusal(by.ask('PUT', `/media/v3/upload/${to}`, { body: 'x' }));
      expect(await put(clara, media)).toEqual([403, 'M_FORBIDDEN']);
      expect(await put(bert, `${luebeck.name}/unknown`)).toEqual([404, 'M_NOT_FOUND']);
      expect(await put(bert, media.replace(/^[^/]+/, 'hamburg.example'))).toEqual([404, 'M_NOT_FOUND']);
      const both = await Promise.all(['x', 'y'].map((body) => bert.ask('PUT', `/media/v3/upload/${media}`, { body })));
      expect(both.map(({ status }) => status).toSorted()).toEqual([200, 409]);
      expect(await put(bert, media)).toEqual([409, 'M_CANNOT_OVERWRITE_MEDIA']);
    });

    it('are refused in the words that other servers have, as programs compare them', async () => {
      const media = await announce(bert);
      const early = await json(await bert.ask('GET', `${download(media)}?timeout_ms=0`));
      expect(early['error']).toBe('Media has not been uploaded yet');
      await bert.ask('PUT', `/media/v3/upload/${media}`, { body: 'x' });
      const again = await json(await bert.ask('PUT', `/media/v3/upload/${media}`, { body: 'x' }));
      expect(again['error']).toBe('Media ID already has content');
    });

    it('are forgotten when they do not come, and are not too many', async () => {
      const erna = await luebeck.person('erna');
      const media = await announce(erna);
      for (let count = 1; count < 20; count++) await announce(erna);
      expect(await refusal(erna.ask('POST', '/media/v1/create'))).toEqual([429, 'M_LIMIT_EXCEEDED']);
      await luebeck.db.query('UPDATE media SET expires_at = 1 WHERE uploader = $1', [erna.userId]);
      expect(await refusal(erna.ask('PUT', `/media/v3/upload/${media}`, { body: 'x' }))).toEqual([404, 'M_NOT_FOUND']);
      expect(await refusal(erna.ask('GET', download(media)))).toEqual([404, 'M_NOT_FOUND']);
      await luebeck.media.cleanUp();
      const rows = await luebeck.db.query('SELECT 1 FROM media WHERE uploader = $1', [erna.userId]);
      expect(rows).toEqual([]);
    });
  });
});
