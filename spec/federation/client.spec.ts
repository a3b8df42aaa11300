import { FederationClient, FederationError } from '../../federation/client.ts';
import type { FederationClientOptions, FederationRequest } from '../../federation/client.ts';
import { httpsGet } from '../../federation/https-get.ts';
import { parseStrict } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { KeyRing, serverKeysDocument } from '../../federation/keyring.ts';
import type { StoredKeys } from '../../federation/keyring.ts';
import { trustedRoots } from '../../federation/pinned-connector.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { signRequest, verifyRequest, XMatrixError } from '../../federation/x-matrix.ts';
import { blackHole, keysOf, rejection } from './support.ts';
import { answer, TlsServers } from './tls-servers.ts';
import type { Handler } from './tls-servers.ts';

const key = createSigningKey(generateSeed(), '1');
const HOSTS = new Map([
  ['peer.example', '127.0.0.1'],
  ['alias.example', '127.0.0.1'],
]);
const SECOND = { timeoutMs: 20_000 };

describe('the federation client', () => {
  let servers: TlsServers;
  const clients: FederationClient[] = [];

  beforeAll(async () => {
    servers = await TlsServers.prepare();
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await servers.closeServers();
  });

  afterAll(() => servers.close());

  function client(options: Partial<FederationClientOptions> = {}): FederationClient {
    const made = new FederationClient({
      serverName: 'hs.example',
      signingKey: key,
      discovery: { hostOverrides: HOSTS, allowedRanges: ['127.0.0.0/8'] },
      ca: servers.ca,
      ...SECOND,
      ...options,
    });
    clients.push(made);
    return made;
  }

  /** What becomes of a GET request to a server with that behaviour. */
  async function failure(
    handler: Handler,
    options: Partial<FederationClientOptions> = {},
    request: Partial<FederationRequest> = {},
  ): Promise<FederationError> {
    const { port } = await servers.listen('peer.example', handler);
    const asked = { destination: `peer.example:${port}`, method: 'GET', path: '/x', ...request };
    const error = await rejection(client(options).request(asked));
    if (error instanceof FederationError) return error;
    throw new Error(`no FederationError but ${String(error)}`);
  }

  it('sends a signed request under the name of the server and answers its JSON', async () => {
    const { port, seen } = await servers.listen('peer.example', (_, response) => answer(response, { ok: 1 }));
    const destination = `peer.example:${port}`;
    const body: JsonObject = { b: 'Grüße', a: [] };
    const path = '/_matrix/federation/v1/send/t%2F1?x=%20';
    expect((await client().request({ destination, method: 'PUT', path, body }))['ok'] as unknown).toBe(1);
    const [request] = seen;
    expect(request?.host).toBe(destination);
    expect(request?.servername).toBe('peer.example');
    expect(request?.url).toBe(path);
    expect(request?.body).toBe('{"a":[],"b":"Grüße"}');
    const origin = await verifyRequest(
      {
        method: 'PUT',
        uri: request?.url ?? '',
        destination,
        content: parseStrict(request?.body ?? '') as JsonObject,
        authorization: request?.authorization ?? '',
      },
      keysOf({ 'hs.example ed25519:1': key.publicKey }),
    );
    expect(origin).toBe('hs.example');
  });

  it('does not sign what need not be signed', async () => {
    const { port, seen } = await servers.listen('peer.example', (_, response) => answer(response, {}));
    const destination = `peer.example:${port}`;
    await client().request({ destination, method: 'GET', path: '/x', signed: false });
    expect(seen[0]?.authorization).toBeUndefined();
  });

  it('talks to an IP literal whose certificate is for the address, without a name in TLS', async () => {
    const { port, seen } = await servers.listen('peer.example', (_, response) => answer(response, {}));
    await client().request({ destination: `127.0.0.1:${port}`, method: 'GET', path: '/x' });
    expect(seen[0]?.servername).toBeFalse();
    expect(seen[0]?.host).toBe(`127.0.0.1:${port}`);
  });

  it('keeps connections and opens few at a time', async () => {
    const waiting: (() => void)[] = [];
    let sockets = 0;
    const { port, server, seen } = await servers.listen('peer.example', (request, response) => {
      if (request.url === '/now') answer(response, {});
      else waiting.push(() => answer(response, {}));
    });
    server.on('secureConnection', () => sockets++);
    const one = client();
    const destination = `peer.example:${port}`;
    const get = (path: string) => one.request({ destination, method: 'GET', path });
    for (let i = 0; i < 3; i++) {
      await get('/now');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(sockets).toBe(1);
    const all = Promise.all(Array.from({ length: 30 }, () => get('/later')));
    while (seen.length < 33) {
      waiting.splice(0).forEach((go) => go());
      await new Promise((resolve) => setImmediate(resolve));
    }
    waiting.splice(0).forEach((go) => go());
    await all;
    expect(sockets).toBeLessThanOrEqual(6);
  });

  it('refuses a certificate of an unknown authority or for another name', async () => {
    const { port, seen } = await servers.listen('peer.example', (_, response) => answer(response, {}));
    const { ca: _ca, ...withoutAuthority } = { ca: servers.ca, ...SECOND };
    const stranger = new FederationClient({
      serverName: 'hs.example',
      signingKey: key,
      discovery: { hostOverrides: HOSTS, allowedRanges: ['127.0.0.0/8'] },
      ...withoutAuthority,
    });
    clients.push(stranger);
    const request = { method: 'GET', path: '/x' };
    const unknown = await rejection(stranger.request({ ...request, destination: `peer.example:${port}` }));
    expect(unknown instanceof FederationError && unknown.code).toBe('UNREACHABLE');
    const wrongName = await rejection(client().request({ ...request, destination: `alias.example:${port}` }));
    expect(wrongName instanceof FederationError && wrongName.message).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID/);
    expect(seen).toEqual([]);
  });

  it('refuses to connect to an address that is not allowed', async () => {
    const { port, seen } = await servers.listen('peer.example', (_, response) => answer(response, {}));
    const one = client({ discovery: { hostOverrides: HOSTS } });
    for (const host of ['peer.example', '127.0.0.1', '[::ffff:127.0.0.1]']) {
      const error = await rejection(one.request({ destination: `${host}:${port}`, method: 'GET', path: '/x' }));
      expect(error instanceof FederationError && error.code)
        .withContext(host)
        .toBe('NOT_FOUND');
    }
    expect(seen).toEqual([]);
  });

  it('does not talk to itself, nor to servers that are not allowed, nor to what is no server name', async () => {
    const refusal = new Error('We do not federate with it.');
    const asked: [string, boolean][] = [];
    const one = client({
      requireTrusted: (server, isExempt) => {
        asked.push([server, isExempt]);
        return server === 'peer.example' ? undefined : Promise.reject(refusal);
      },
    });
    const own = await rejection(one.request({ destination: 'hs.example', method: 'GET', path: '/x' }));
    expect(own instanceof FederationError && own.code).toBe('NOT_ALLOWED');
    const other = { destination: 'other.example', method: 'GET', path: '/x' };
    expect(await rejection(one.request(other))).toBe(refusal);
    expect(await rejection(one.open({ ...other, exempt: true }))).toBe(refusal);
    expect(asked).toEqual([
      ['other.example', false],
      ['other.example', true],
    ]);
    const error = await rejection(client().request({ destination: 'a"b', method: 'GET', path: '/x' }));
    expect(error instanceof FederationError && error.code).toBe('NOT_FOUND');
  });

  it('waits no longer than for an answer until it is known whether a server is allowed', async () => {
    const one = client({ requireTrusted: () => new Promise(() => undefined) });
    const error = await rejection(
      one.request({ destination: 'other.example', method: 'GET', path: '/x', timeoutMs: 50 }),
    );
    expect(error instanceof FederationError && error.code).toBe('TIMEOUT');
  });

  it('hands on the status and the Matrix code of a refusal', async () => {
    const error = await failure((_, response) => answer(response, { errcode: 'M_FORBIDDEN', error: 'no' }, 403));
    expect([error.code, error.status, error.errcode]).toEqual(['REFUSED', 403, 'M_FORBIDDEN']);
    expect(error.message)
      .withContext('why')
      .toMatch(/ responded with 403 M_FORBIDDEN: no$/);
    const wordy = await failure((_, response) => answer(response, { error: `a\nb\u202e${'c'.repeat(999)}` }, 403));
    expect(wordy.message).toMatch(/ responded with 403: a b c{296}$/);
    const plain = await failure((_, response) => answer(response, '<html>', 502));
    expect([plain.code, plain.status, plain.errcode]).toEqual(['REFUSED', 502, undefined]);
    const strange = await failure((_, response) => answer(response, { errcode: 'a\nb' }, 400));
    expect(strange.errcode).toBeUndefined();
    const long = await failure((_, response) => answer(response, 'x'.repeat(100_000), 500));
    expect([long.code, long.status]).toEqual(['REFUSED', 500]);
  });

  it('does not follow redirections', async () => {
    const error = await failure((_, response) => {
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    expect([error.code, error.status]).toEqual(['REFUSED', 302]);
  });

  it('refuses an answer that is not an object of strict JSON', async () => {
    for (const text of ['', 'x', '[]', '1', '{"a":1.5}', '{"a":1,"a":2}', '{"a":"\\ud800"}']) {
      const error = await failure((_, response) => answer(response, text));
      expect(error.code).withContext(text).toBe('BAD_ANSWER');
    }
    const bytes = await failure((_, response) => {
      response.end(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    });
    expect(bytes.code).toBe('BAD_ANSWER');
  });

  it('stops reading an answer that is too long', async () => {
    const text = JSON.stringify({ a: 'x'.repeat(1000) });
    const { port } = await servers.listen('peer.example', (_, response) => answer(response, text));
    const request = { destination: `peer.example:${port}`, method: 'GET', path: '/x' };
    const error = await rejection(client().request({ ...request, maxBytes: text.length - 1 }));
    expect(error instanceof FederationError && error.code).toBe('BAD_ANSWER');
    expect(Object.keys(await client().request({ ...request, maxBytes: text.length }))).toEqual(['a']);
  });

  it('gives up a server that takes too long, whether it is silent or drips', async () => {
    const silent = await failure(() => undefined, { timeoutMs: 300 });
    expect(silent.code).toBe('TIMEOUT');
    const drips: NodeJS.Timeout[] = [];
    const dripping = await failure(
      (_, response) => {
        response.write('{');
        drips.push(setInterval(() => response.write(' '), 50));
      },
      {},
      { timeoutMs: 400 },
    );
    drips.forEach(clearInterval);
    expect(dripping.code).toBe('TIMEOUT');
  });

  it('says when nobody listens or the connection breaks', async () => {
    const { port } = await servers.listen('peer.example', () => undefined);
    await servers.closeServers();
    const request = { destination: `peer.example:${port}`, method: 'GET', path: '/x' };
    const error = await rejection(client().request(request));
    expect(error instanceof FederationError && error.message).toMatch(/ECONNREFUSED/);
    const broken = await failure((_, response) => response.socket?.destroy());
    expect(broken.code).toBe('UNREACHABLE');
  });

  it('finds a server again that has moved', async () => {
    const first = await servers.listen('peer.example', (_, response) => answer(response, { at: 1 }));
    let port = first.port;
    const one = client({
      discovery: {
        allowedRanges: ['127.0.0.0/8'],
        lookup: () => Promise.resolve(['127.0.0.1']),
        resolveSrv: () => Promise.resolve([{ name: 'host.example', port, priority: 1, weight: 1 }]),
        fetchWellKnown: () => Promise.reject(new Error('none')),
      },
    });
    const request = { destination: 'peer.example', method: 'GET', path: '/x' };
    expect((await one.request(request))['at'] as unknown).toBe(1);
    await servers.closeServers();
    const second = await servers.listen('peer.example', (_, response) => answer(response, { at: 2 }));
    port = second.port;
    const down = await rejection(one.request(request));
    expect(down instanceof FederationError && down.code).toBe('UNREACHABLE');
    expect((await one.request(request))['at'] as unknown).toBe(2);
    expect(second.seen[0]?.host).toBe('peer.example');
  });

  it('ends requests under way when it closes, and takes no more', async () => {
    const { port, seen } = await servers.listen('peer.example', () => undefined);
    const one = client();
    const request = { destination: `peer.example:${port}`, method: 'GET', path: '/x' };
    const waiting = rejection(one.request(request));
    while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await one.close();
    for (const error of [await waiting, await rejection(one.request(request))]) {
      expect(error instanceof FederationError && error.code).toBe('CLOSED');
    }
  });

  it('brings the key ring the keys of a server, so that its requests can be told from forged ones', async () => {
    const peerKey = createSigningKey(generateSeed(), 'p');
    const { port } = await servers.listen('peer.example', (_, response) => {
      answer(response, serverKeysDocument({ serverName: peer, keys: [peerKey], validForMs: 60_000 }));
    });
    const peer = `peer.example:${port}`;
    const stored = new Map<string, StoredKeys>();
    const ring = new KeyRing({
      serverName: 'hs.example',
      ownKeys: [key],
      client: client(),
      store: {
        get: (server) => Promise.resolve(stored.get(server)),
        put: (server, keys) => Promise.resolve(void stored.set(server, keys)),
      },
    });
    const request = { method: 'GET', uri: '/x', origin: peer, destination: 'hs.example' };
    expect(await verifyRequest({ ...request, authorization: signRequest(request, peerKey) }, ring)).toBe(peer);
    const forged = signRequest(request, createSigningKey(generateSeed(), 'p'));
    const error = await rejection(verifyRequest({ ...request, authorization: forged }, ring));
    expect(error instanceof XMatrixError && error.code).toBe('BAD_SIGNATURE');
  });

  describe('fetching a document from a web server', () => {
    function options(addresses: (host: string) => string[] = () => ['127.0.0.1']) {
      return {
        roots: trustedRoots(servers.ca),
        addresses: (host: string) => Promise.resolve(addresses(host)),
        timeoutMs: 5000,
        maxBytes: 100,
      };
    }

    async function redirecting(location: string): Promise<string> {
      const { port } = await servers.listen('peer.example', (request, response) => {
        if (request.url === '/end') answer(response, 'here');
        else response.writeHead(307, { location }).end();
      });
      try {
        return (await httpsGet(`https://peer.example:${port}/start`, options(publicOnly))).body;
      } catch (error) {
        return error instanceof Error ? error.message : '?';
      }
    }

    function publicOnly(host: string): string[] {
      if (host === 'peer.example') return ['127.0.0.1'];
      throw new Error(`forbidden: ${host}`);
    }

    it('follows redirections, but only over https and to addresses that are allowed', async () => {
      expect(await redirecting('/end')).toBe('here');
      expect(await redirecting('http://peer.example/end')).toMatch(/does not lead to an https URL/);
      expect(await redirecting('https://user@peer.example/end')).toMatch(/does not lead to an https URL/);
      expect(await redirecting('https://127.0.0.1/end')).toMatch(/forbidden: 127/);
      expect(await redirecting('https://[::1]/end')).toMatch(/forbidden: ::1/);
      expect(await redirecting('https://inside.example/end')).toMatch(/forbidden: inside/);
      expect(await redirecting('/start')).toMatch(/too many/);
    });

    it('gives up an address that takes no connection after three seconds, long before its time is over', async () => {
      const hole = await blackHole();
      try {
        const began = performance.now();
        const error = await rejection(
          httpsGet(`https://peer.example:${hole.port}/`, { ...options(), timeoutMs: 30_000 }),
        );
        expect(error instanceof Error && 'code' in error && error.code).toBe('UND_ERR_CONNECT_TIMEOUT');
        expect(performance.now() - began).toBeGreaterThan(2_000);
        // Undici looks at its clock twice a second; the rest is for a busy machine.
        expect(performance.now() - began).toBeLessThan(9_000);
      } finally {
        await hole.close();
      }
    }, 30_000);

    it('has one time limit for all redirections together, and for the look-up of addresses', async () => {
      const { port, seen } = await servers.listen('peer.example', (_, response) => {
        setTimeout(() => response.writeHead(307, { location: '/on' }).end(), 400);
      });
      const slow = await rejection(httpsGet(`https://peer.example:${port}/`, { ...options(), timeoutMs: 1_000 }));
      expect(slow instanceof Error && slow.name).toBe('TimeoutError');
      expect(seen.length).toBeLessThan(4);
      const never = { addresses: () => new Promise<string[]>(() => undefined), timeoutMs: 200 };
      const silent = await rejection(httpsGet(`https://peer.example:${port}/`, { ...options(), ...never }));
      expect(silent instanceof Error && silent.name).toBe('TimeoutError');
    });

    it('gives up when the document is too long', async () => {
      const { port } = await servers.listen('peer.example', (_, response) => answer(response, 'x'.repeat(101)));
      const error = await rejection(httpsGet(`https://peer.example:${port}/`, options()));
      expect(String(error)).toMatch(/longer than 100 bytes/);
    });
  });
});
