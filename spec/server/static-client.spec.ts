import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { pino } from 'pino';
import { compressFiles } from '../../deploy/quickstart/client-build.mjs';
import { ClientMissingError, staticClient } from '../../homeserver/app/static-client.ts';
import { errorHandler } from '../../homeserver/base/errors.ts';

describe('The server of the web client', () => {
  let folder: string;
  let server: Server;
  let url: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-client-'));
    await writeFile(join(folder, 'secret.txt'), 'not for everybody');
    for (const language of ['de', 'en']) {
      await mkdir(join(folder, language, 'media'), { recursive: true });
      await writeFile(join(folder, language, 'index.html'), `<title>${language}</title>`);
      await writeFile(join(folder, language, 'main-AB-D1_3e.js'), `console.log('${language}');`.repeat(50));
      await writeFile(join(folder, language, 'favicon.svg'), '<svg/>');
      await writeFile(join(folder, language, 'media', 'chime-ABCD1234.ogg'), 'sound');
    }
    await compressFiles(folder);
    const app = express();
    app.use(staticClient(folder));
    app.use((_request, response) => void response.status(404).end());
    app.use(errorHandler(pino({ level: 'silent' })));
    server = createServer((request, response) => void app(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });

  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(url + path, { redirect: 'manual', headers });

  it('sends people to the language that they have chosen, else to the one of their browser, else to German', async () => {
    const cases: [headers: Record<string, string>, language: string][] = [
      [{ 'accept-language': 'en-GB,en;q=0.9,de;q=0.5' }, 'en'],
      [{ 'accept-language': 'de-AT,de;q=0.9,en;q=0.5' }, 'de'],
      [{ 'accept-language': 'fr' }, 'de'],
      [{ 'accept-language': 'de', cookie: 'a=b; hansetag-language=en' }, 'en'],
      [{ 'accept-language': 'en', cookie: 'hansetag-language=/evil' }, 'en'],
    ];
    for (const [headers, language] of cases) {
      const response = await get('/', headers);
      expect(response.status).toBe(302);
      expect(response.headers.get('location')).toBe(`/${language}/`);
    }
  });

  it('keeps path and query of a link without language', async () => {
    const headers = { 'accept-language': 'en' };
    expect((await get('/join/a-token?x=1&y=%2F', headers)).headers.get('location')).toBe('/en/join/a-token?x=1&y=%2F');
    expect((await get('/login?loginToken=t', headers)).headers.get('location')).toBe('/en/login?loginToken=t');
    expect((await get('/de', headers)).headers.get('location')).toBe('/de/');
    expect((await get('//evil.example/', headers)).headers.get('location')).toBe('/en//evil.example/');
  });

  it('answers paths inside the client with its page, which is never kept', async () => {
    for (const path of ['/de/', '/de/login', '/de/meeting/!room:hamburg.example']) {
      const response = await get(path);
      expect(response.status).withContext(path).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(response.headers.get('cache-control')).toBe('no-cache');
      expect(await response.text()).toBe('<title>de</title>');
    }
  });

  it('lets browsers keep files with a hash in their name, and compresses them', async () => {
    const response = await get('/en/main-AB-D1_3e.js', { 'accept-encoding': 'gzip, deflate, br, zstd' });
    expect(response.headers.get('cache-control')).toContain('immutable');
    expect(response.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(response.headers.get('content-encoding')).toBe('br');
    expect(response.headers.get('vary')).toBe('Accept-Encoding');
    expect(await response.text()).toContain("console.log('en');");
    const gzipped = await get('/en/main-AB-D1_3e.js', { 'accept-encoding': 'gzip, br;q=0' });
    expect(gzipped.headers.get('cache-control')).toContain('immutable');
    expect(gzipped.headers.get('content-encoding')).toBe('gzip');
    expect(await gzipped.text()).toContain("console.log('en');");
    const plain = await get('/en/main-AB-D1_3e.js', { 'accept-encoding': 'identity' });
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(await plain.text()).toContain("console.log('en');");
    expect((await get('/en/media/chime-ABCD1234.ogg')).headers.get('content-type')).toBe('audio/ogg');
    expect((await get('/favicon.svg')).headers.get('content-type')).toBe('image/svg+xml');
  });

  it('answers 304 to a browser that has the page already', async () => {
    const etag = (await get('/de/')).headers.get('etag') ?? '';
    // Without a word about caching, fetch would ask for a fresh answer.
    const headers = { 'if-none-match': etag, 'cache-control': 'max-age=0' };
    expect((await get('/de/', headers)).status).toBe(304);
  });

  it('answers an error without the headers of the file that it is about', async () => {
    const response = await get('/en/main-AB-D1_3e.js', { 'if-match': '"another"' });
    expect(response.status).toBe(412);
    expect(response.headers.get('content-encoding')).toBeNull();
    expect(response.headers.get('cache-control')).toBeNull();
    expect(await response.text()).toContain('M_INVALID_PARAM');
  });

  it('does not answer a missing script with a page', async () => {
    expect((await get('/de/chunk-ZZZZ0000.js')).status).toBe(404);
    expect((await get('/missing.js')).status).toBe(404);
  });

  it('serves nothing outside the language folders', async () => {
    for (const path of ['/secret.txt', '/de/%2e%2e/secret.txt', '/de/..%2fsecret.txt', '/de/%2e%2e%2fsecret.txt']) {
      const response = await get(path);
      expect(await response.text())
        .withContext(path)
        .not.toContain('not for everybody');
    }
  });

  it('refuses to start without a built client', () => {
    expect(() => staticClient(join(folder, 'missing'))).toThrowError(ClientMissingError);
  });
});
