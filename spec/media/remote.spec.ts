import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import sharp from 'sharp';
import { answer, TlsServers } from '../federation/tls-servers.ts';
import { authority, bytes, close, json, listen, mediaOf, refusal, startServer } from './support.ts';
import type { Authority, Person, TestServer } from './support.ts';

const DOWNLOAD = '/_matrix/federation/v1/media/download/';

describe('Files of other servers', () => {
  let tls: Authority;
  let luebeck: TestServer;
  let hamburg: TestServer;
  let bert: Person;
  let dora: Person;

  beforeAll(async () => {
    tls = await authority();
    [luebeck, hamburg] = await Promise.all([
      startServer('luebeck.example', tls),
      startServer('hamburg.example', tls, { unauthenticated: true, maxBytes: 300_000, cacheBytes: 200_000 }),
    ]);
    [bert, dora] = await Promise.all([luebeck.person('bert'), hamburg.person('dora')]);
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), hamburg.close()]);
    await rm(tls.folder, { recursive: true });
  });

  const download = (media: string): string => `/client/v1/media/download/${media}`;
  const downloads = (): number => luebeck.asked.filter((line) => line.includes(DOWNLOAD)).length;

  it('are fetched once, however many want them, with their type and name', async () => {
    const sent = Buffer.concat([Buffer.from('\r\n--'), Buffer.alloc(100_000, 'x\r\n-'), Buffer.from('\r\n')]);
    const media = await bert.upload(sent, 'text/plain', 'Größe; "a".txt');
    const before = downloads();
    const answers = await Promise.all([1, 2, 3].map(() => dora.ask('GET', download(media))));
    for (const found of [...answers, await dora.ask('GET', download(media))]) {
      expect((await bytes(found)).equals(sent)).toBe(true);
      expect(found.headers.get('content-type')).toBe('text/plain');
      expect(found.headers.get('content-disposition')).toBe(
        "inline; filename*=utf-8''Gr%C3%B6%C3%9Fe%3B%20%22a%22.txt",
      );
    }
    expect(downloads()).toBe(before + 1);
  });

  it('are handed over in two parts to servers that prove who they are', async () => {
    const media = await bert.upload('hello', 'text/plain', 'a.txt');
    const path = `${DOWNLOAD}${media.split('/')[1] ?? ''}`;
    const { headers, body } = await hamburg.client.open({ destination: luebeck.name, method: 'GET', path });
    const [, boundary = ''] = /^multipart\/mixed; boundary=([0-9a-f]{48})$/.exec(String(headers['content-type'])) ?? [];
    let text = '';
    for await (const chunk of body) text += String(chunk);
    expect(text.split(`--${boundary}`)).toEqual([
      '',
      '\r\nContent-Type: application/json\r\n\r\n{}\r\n',
      '\r\nContent-Type: text/plain\r\nContent-Disposition: inline; filename=a.txt\r\n\r\nhello\r\n',
      '--\r\n',
    ]);
    const asked = { destination: luebeck.name, method: 'GET', path: `${DOWNLOAD}unknown` };
    await expectAsync(hamburg.client.open(asked)).toBeRejectedWith(
      jasmine.objectContaining({ status: 404, errcode: 'M_NOT_FOUND' }),
    );
    await expectAsync(hamburg.client.open({ ...asked, signed: false })).toBeRejectedWith(
      jasmine.objectContaining({ status: 401 }),
    );
  });

  it('have small pictures, made by either side', async () => {
    const large = await sharp({ create: { width: 400, height: 200, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const media = await bert.upload(large, 'image/png');
    const small = await dora.ask('GET', `/client/v1/media/thumbnail/${media}?width=32&height=32&method=scale`);
    const { width, height, format } = await sharp(await bytes(small)).metadata();
    expect([width, height, format]).toEqual([32, 16, 'png']);
    const path = `/_matrix/federation/v1/media/thumbnail/${media.split('/')[1] ?? ''}?width=32&height=32`;
    const { headers, body } = await hamburg.client.open({ destination: luebeck.name, method: 'GET', path });
    body.destroy();
    expect(headers['content-type']).toMatch(/^multipart\/mixed;/);
  });

  it('that are announced are waited for there, and those that are too large are not taken', async () => {
    const media = mediaOf(await json(await bert.ask('POST', '/media/v1/create')));
    const waiting = dora.ask('GET', download(media));
    const isAsked = (): boolean => luebeck.asked.some((line) => line.includes(media.split('/')[1] ?? ''));
    while (!isAsked()) await new Promise((resolve) => setTimeout(resolve, 5));
    await bert.ask('PUT', `/media/v3/upload/${media}`, { body: 'now' });
    expect(await (await waiting).text()).toBe('now');
    const large = await bert.upload(Buffer.alloc(300_001));
    expect(await refusal(dora.ask('GET', download(large)))).toEqual([502, 'M_TOO_LARGE']);
    expect((await hamburg.files()).incoming).toBe(0);
  });

  it('are served without log-in only where that is switched on, and fetched only when that is wanted', async () => {
    const media = await bert.upload('for everybody', 'text/plain');
    const old = `/_matrix/media/v3/download/${media}`;
    expect(await refusal(fetch(`${luebeck.url}${old}`))).toEqual([404, 'M_NOT_FOUND']);
    expect(await refusal(fetch(`${hamburg.url}${old}?allow_remote=false`))).toEqual([404, 'M_NOT_FOUND']);
    expect(await (await fetch(`${hamburg.url}${old}`)).text()).toBe('for everybody');
    expect(await (await fetch(`${hamburg.url}${old}/a.txt?allow_remote=false`)).text()).toBe('for everybody');
  });

  it('make room for others, the one that was used longest ago first, and can be had again', async () => {
    await hamburg.db.query('DELETE FROM media');
    await hamburg.media.cleanUp();
    const sent: string[] = [];
    for (const letter of ['a', 'b', 'c', 'd', 'e']) {
      const media = await bert.upload(Buffer.alloc(290_000, letter));
      await (await dora.ask('GET', download(media))).arrayBuffer();
      sent.push(media);
      // The earlier ones were used longer ago.
      await hamburg.db.query('UPDATE media SET used_at = used_at - 1000');
    }
    await hamburg.media.cleanUp();
    expect((await hamburg.files()).blobs).toBe(4);
    const before = downloads();
    for (const media of sent.toReversed()) await (await dora.ask('GET', download(media))).arrayBuffer();
    expect(downloads()).toBe(before + 1);
  });

  it('never take much more room than they may, even before the time of upkeep', async () => {
    for (const letter of ['f', 'g', 'h', 'i', 'j', 'k']) {
      const media = await bert.upload(Buffer.alloc(290_000, letter));
      await (await dora.ask('GET', download(media))).arrayBuffer();
      const [row] = await hamburg.db.query<{ bytes: string }>('SELECT sum(size) AS bytes FROM blobs');
      expect(Number(row?.bytes)).toBeLessThanOrEqual(1_200_000);
    }
  });

  it('that an administrator has blocked are not served, nor fetched again', async () => {
    const media = await bert.upload('bad');
    await (await dora.ask('GET', download(media))).arrayBuffer();
    const [server = '', mediaId = ''] = media.split('/');
    const before = downloads();
    await hamburg.media.store.block(server, mediaId, true);
    expect(await refusal(dora.ask('GET', download(media)))).toEqual([404, 'M_NOT_FOUND']);
    expect(downloads()).toBe(before);
    await hamburg.media.store.block(server, mediaId, false);
    expect((await dora.ask('GET', download(media))).status).toBe(200);
  });

  describe('that are strange', () => {
    let servers: TlsServers;
    let shop: Server;
    let shopUrl: string;
    let bremen: TestServer;
    let strict: TestServer;
    let count = 0;

    beforeAll(async () => {
      servers = await TlsServers.prepare();
      const peers = { folder: tls.folder, ca: servers.ca };
      [bremen, strict] = await Promise.all([
        startServer('bremen.example', peers, { maxBytes: 1000 }),
        startServer('bremen.example', peers, { maxBytes: 1000, allowedRanges: [] }),
      ]);
      shop = createServer((request, response) => {
        if (request.url === '/file') response.setHeader('content-type', 'text/plain').end('from elsewhere');
        else response.writeHead(302, { location: 'http://10.0.0.1/inside' }).end();
      });
      shopUrl = `http://127.0.0.1:${String(await listen(shop))}`;
    });

    afterAll(async () => {
      await Promise.all([servers.close(), close(shop), bremen.close(), strict.close()]);
    });

    /** What becomes of a file of a server that answers like this. */
    async function from(
      handler: (url: string, response: ServerResponse) => void,
      at: TestServer = bremen,
    ): Promise<{ result: [number, unknown]; seen: string[] }> {
      const { port, seen } = await servers.listen('peer.example', ({ url }, response) => handler(url, response));
      count += 1;
      const path = download(`peer.example:${String(port)}/a${String(count)}`);
      const found = await (await at.person('emil')).ask('GET', path);
      const text = await found.text();
      await servers.closeServers();
      expect((await at.files()).incoming).toBe(0);
      expect(at.logged.filter((line) => line.includes('a request failed'))).toEqual([]);
      const result = found.ok ? text : (JSON.parse(text) as { errcode: string }).errcode;
      return { result: [found.status, result], seen: seen.map(({ url }) => url.replace(/\d+(?:\?.*)?$/, '')) };
    }

    const multipart = (text: string) => (_url: string, response: ServerResponse) => {
      response.setHeader('content-type', 'multipart/mixed; boundary="b"');
      // Letter by letter, so that no boundary comes in one piece.
      for (const letter of text) response.write(letter);
      response.end();
    };
    const json = '--b\r\nContent-Type: application/json\r\n\r\n{}\r\n';

    it('are found by the way from before when the server does not know the new one', async () => {
      const { result, seen } = await from((url, response) => {
        if (url.startsWith(DOWNLOAD)) answer(response, { errcode: 'M_UNRECOGNIZED' }, 404);
        else response.setHeader('content-type', 'text/plain').end('old');
      });
      expect(result).toEqual([200, 'old']);
      expect(seen).toEqual([
        `${DOWNLOAD}a`,
        jasmine.stringMatching(/^\/_matrix\/media\/v3\/download\/peer\.example%3A\d+\/a$/),
      ]);
      const dull = await from((url, response) => {
        if (url.startsWith(DOWNLOAD)) response.writeHead(400).end('What?');
        else response.end('old');
      });
      expect(dull.result).toEqual([200, 'old']);
      const gone = await from((_url, response) => answer(response, { errcode: 'M_NOT_FOUND' }, 404));
      expect(gone).toEqual({ result: [404, 'M_NOT_FOUND'], seen: [`${DOWNLOAD}a`] });
    });

    it('are taken in the forms that are allowed, and in no other', async () => {
      const cases: [string, [number, unknown]][] = [
        [`${json}--b\r\n\r\nplain\r\n--b--`, [200, 'plain']],
        [`preamble\r\n${json}--b  \r\nX-A: b\r\n\r\n\r\n--\r\n--bb\r\n--b--\r\n`, [502, 'M_UNKNOWN']],
        [`preamble\r\n${json}--b  \r\nX-A: b\r\n\r\n\r\n-\r\n--a\r\n--b--\r\nepilogue`, [200, '\r\n-\r\n--a']],
        ['', [502, 'M_UNKNOWN']],
        ['garbage without any boundary', [502, 'M_UNKNOWN']],
        ['--b--', [502, 'M_UNKNOWN']],
        [`${json}--b--`, [502, 'M_UNKNOWN']],
        [`${json}--b\r\n\r\nbroken off`, [502, 'M_UNKNOWN']],
        [`${json}--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--`, [502, 'M_UNKNOWN']],
        [`${json}--b\r\nno header\r\n\r\nx\r\n--b--`, [502, 'M_UNKNOWN']],
        [`${json}--b\r\nA: ${'b'.repeat(20_000)}\r\n\r\nx\r\n--b--`, [502, 'M_UNKNOWN']],
        [`${json}--b\r\n\r\n${'x'.repeat(1001)}\r\n--b--`, [502, 'M_TOO_LARGE']],
      ];
      for (const [text, expected] of cases) expect((await from(multipart(text))).result).toEqual(expected);
      const plain = await from((_url, response) => response.setHeader('content-type', 'text/plain').end('x'));
      expect(plain.result).toEqual([502, 'M_UNKNOWN']);
    });

    it('without end are given up', async () => {
      const endless = await from((_url, response) => {
        response.setHeader('content-type', 'multipart/mixed; boundary=b').write(`${json}--b\r\n\r\n`);
        const timer = setInterval(() => response.write(Buffer.alloc(10_000)), 1);
        response.on('close', () => clearInterval(timer));
      });
      expect(endless.result).toEqual([502, 'M_TOO_LARGE']);
    });

    it('are fetched from elsewhere, but not from within our own network', async () => {
      const at = (location: string) => multipart(`${json}--b\r\nLocation: ${location}\r\n\r\n\r\n--b--`);
      expect((await from(at(`${shopUrl}/file`))).result).toEqual([200, 'from elsewhere']);
      const cases: [string, TestServer][] = [
        [`${shopUrl}/file`, strict],
        [`${shopUrl.replace('127.0.0.1', '[::ffff:127.0.0.1]')}/file`, strict],
        [`${shopUrl}/redirects`, bremen],
        ['file:///etc/passwd', bremen],
        ['//user:password@127.0.0.1/', bremen],
      ];
      for (const [location, server] of cases) {
        expect((await from(at(location), server)).result).toEqual([502, 'M_UNKNOWN']);
      }
    });
  });
});
