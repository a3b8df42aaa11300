import { AddressPolicy } from '../../federation/address-policy.ts';
import { Discovery, DiscoveryError } from '../../federation/discovery.ts';
import type { DiscoveryOptions, ServerLocation, SrvRecord } from '../../federation/discovery.ts';
import type { HttpsAnswer } from '../../federation/https-get.ts';
import { rejection } from './support.ts';

const PUBLIC = '93.184.216.34';
const PUBLIC_6 = '2606:2800:220:1:248:1893:25c8:1946';

interface World {
  /** Addresses by host. */
  readonly hosts?: Record<string, string[]>;
  readonly srv?: Record<string, SrvRecord[]>;
  /** What the web server of a host answers. */
  readonly wellKnown?: Record<string, Partial<HttpsAnswer>>;
}

/** A discovery in a made-up internet; everything that is asked is noted. */
function discoveryIn(world: World, options: DiscoveryOptions = {}) {
  const asked: string[] = [];
  const discovery = new Discovery({
    lookup: (host) => {
      asked.push(`host ${host}`);
      const found = world.hosts?.[host];
      return found === undefined ? Promise.reject(new Error('not found')) : Promise.resolve(found);
    },
    resolveSrv: (name) => {
      asked.push(`srv ${name}`);
      const found = world.srv?.[name];
      return found === undefined
        ? Promise.reject(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }))
        : Promise.resolve(found);
    },
    fetchWellKnown: (host) => {
      asked.push(`web ${host}`);
      const found = world.wellKnown?.[host];
      return found === undefined
        ? Promise.reject(new Error('down'))
        : Promise.resolve({ status: 200, cacheControl: undefined, expires: undefined, body: '', ...found });
    },
    ...options,
  });
  return { discovery, asked };
}

function srv(name: string, port: number, priority = 10, weight = 0): SrvRecord {
  return { name, port, priority, weight };
}

function delegation(to: string): Partial<HttpsAnswer> {
  return { body: JSON.stringify({ 'm.server': to, 'm.extra': 1.5 }) };
}

async function resolve(name: string, world: World, options: DiscoveryOptions = {}): Promise<ServerLocation> {
  return discoveryIn(world, options).discovery.resolveServer(name);
}

async function refusal(name: string, world: World, options: DiscoveryOptions = {}): Promise<string> {
  const error = await rejection(resolve(name, world, options));
  return error instanceof DiscoveryError ? error.code : String(error);
}

describe('the discovery of a server', () => {
  it('goes straight to an IP literal', async () => {
    const { discovery, asked } = discoveryIn({});
    expect(await discovery.resolveServer(PUBLIC)).toEqual({
      host: PUBLIC,
      servername: undefined,
      targets: [{ address: PUBLIC, port: 8448 }],
    });
    expect(await discovery.resolveServer(`[${PUBLIC_6}]:123`)).toEqual({
      host: `[${PUBLIC_6}]:123`,
      servername: undefined,
      targets: [{ address: PUBLIC_6, port: 123 }],
    });
    expect(asked).toEqual([]);
  });

  it('asks for nothing but the address when the name has a port', async () => {
    const { discovery, asked } = discoveryIn({ hosts: { 'hs.example': [PUBLIC, PUBLIC_6] } });
    expect(await discovery.resolveServer('hs.example:123')).toEqual({
      host: 'hs.example:123',
      servername: 'hs.example',
      targets: [
        { address: PUBLIC, port: 123 },
        { address: PUBLIC_6, port: 123 },
      ],
    });
    expect(asked).toEqual(['host hs.example']);
  });

  it('follows a delegation to an IP literal', async () => {
    const wellKnown = { 'hs.example': delegation(PUBLIC) };
    expect(await resolve('hs.example', { wellKnown })).toEqual({
      host: PUBLIC,
      servername: undefined,
      targets: [{ address: PUBLIC, port: 8448 }],
    });
  });

  it('follows a delegation to a name with a port, under the delegated name', async () => {
    const world = { wellKnown: { 'hs.example': delegation('m.example:1') }, hosts: { 'm.example': [PUBLIC] } };
    expect(await resolve('hs.example', world)).toEqual({
      host: 'm.example:1',
      servername: 'm.example',
      targets: [{ address: PUBLIC, port: 1 }],
    });
  });

  it('follows a delegation to a name, first by SRV records, then to port 8448, and to no second delegation', async () => {
    const wellKnown = { 'hs.example': delegation('m.example'), 'm.example': delegation('trap.example') };
    const hosts = { 'm.example': [PUBLIC], 'target.example': [PUBLIC_6] };
    const plain = discoveryIn({ wellKnown, hosts });
    expect(await plain.discovery.resolveServer('hs.example')).toEqual({
      host: 'm.example',
      servername: 'm.example',
      targets: [{ address: PUBLIC, port: 8448 }],
    });
    expect(plain.asked).toEqual([
      'web hs.example',
      'srv _matrix-fed._tcp.m.example',
      'srv _matrix._tcp.m.example',
      'host m.example',
    ]);
    const records = { '_matrix-fed._tcp.m.example': [srv('target.example', 7)] };
    expect(await resolve('hs.example', { wellKnown, hosts, srv: records })).toEqual({
      host: 'm.example',
      servername: 'm.example',
      targets: [{ address: PUBLIC_6, port: 7 }],
    });
  });

  it('goes by SRV records of the name itself without a delegation, and keeps its name for TLS and Host', async () => {
    const hosts = { 'a.example': [PUBLIC], 'b.example': [PUBLIC_6] };
    const records = {
      '_matrix._tcp.hs.example': [srv('b.example', 2, 20), srv('gone.example', 3, 5), srv('a.example', 1, 10)],
    };
    expect(await resolve('hs.example', { hosts, srv: records })).toEqual({
      host: 'hs.example',
      servername: 'hs.example',
      targets: [
        { address: PUBLIC, port: 1 },
        { address: PUBLIC_6, port: 2 },
      ],
    });
  });

  it('prefers the registered service name to the old one', async () => {
    const srvRecords = {
      '_matrix-fed._tcp.hs.example': [srv('hs.example', 1)],
      '_matrix._tcp.hs.example': [srv('hs.example', 2)],
    };
    const { targets } = await resolve('hs.example', { hosts: { 'hs.example': [PUBLIC] }, srv: srvRecords });
    expect(targets).toEqual([{ address: PUBLIC, port: 1 }]);
  });

  it('ends at port 8448 of the name', async () => {
    expect(await resolve('hs.example', { hosts: { 'hs.example': [PUBLIC] } })).toEqual({
      host: 'hs.example',
      servername: 'hs.example',
      targets: [{ address: PUBLIC, port: 8448 }],
    });
  });

  it('takes a well-known document that is of no use for none', async () => {
    const hosts = { 'hs.example': [PUBLIC] };
    for (const answer of [
      { status: 404, ...delegation('m.example:1') },
      { body: 'not JSON' },
      { body: '[]' },
      { body: '{"m.server":1}' },
      delegation('not a name'),
      delegation('m.example:99999'),
      delegation('m.example/path'),
    ]) {
      const location = await resolve('hs.example', { hosts, wellKnown: { 'hs.example': answer } });
      expect(location.host).withContext(JSON.stringify(answer)).toBe('hs.example');
    }
  });

  it('says when a server can not be found', async () => {
    expect(await refusal('hs.example', {})).toBe('NOT_FOUND');
    expect(await refusal('hs.example:1', {})).toBe('NOT_FOUND');
    expect(await refusal('not a name', {})).toBe('BAD_NAME');
    expect(await refusal('hs.example', { srv: { '_matrix-fed._tcp.hs.example': [srv('.', 0)] } })).toBe('NOT_FOUND');
  });

  it('goes on to port 8448 where DNS fails for SRV records, as in networks of containers', async () => {
    for (const name of ['hs1', 'hs.example']) {
      let asked = 0;
      const resolveSrv = (): Promise<never> => {
        asked++;
        return Promise.reject(Object.assign(new Error('x'), { code: 'ESERVFAIL' }));
      };
      const { targets } = await resolve(name, { hosts: { [name]: [PUBLIC] } }, { resolveSrv });
      expect(targets).toEqual([{ address: PUBLIC, port: 8448 }]);
      expect(asked).toBe(1);
    }
    const withPort = await resolve('host.docker.internal:40123', { hosts: { 'host.docker.internal': [PUBLIC] } });
    expect(withPort.targets).toEqual([{ address: PUBLIC, port: 40123 }]);
  });

  it('asks the list of host names before DNS', async () => {
    const hostOverrides = new Map([['HS.example', PUBLIC_6]]);
    const { discovery, asked } = discoveryIn({ hosts: { 'hs.example': [PUBLIC] } }, { hostOverrides });
    const { targets } = await discovery.resolveServer('hs.example');
    expect(targets).toEqual([{ address: PUBLIC_6, port: 8448 }]);
    expect(asked).toEqual(['web hs.example']);
  });
});

describe('the discovery of a server where we must not go', () => {
  it('is refused in every way that a stranger can name an address', async () => {
    const wellKnown = { 'hs.example': delegation('127.0.0.1:22'), 'b.example': delegation('inside.example:1') };
    const hosts = { 'inside.example': ['10.0.0.1', '::1'] };
    const records = { '_matrix-fed._tcp.srv.example': [srv('inside.example', 22), srv('169.254.169.254', 80)] };
    const world = { wellKnown, hosts, srv: records };
    for (const name of [
      '127.0.0.1',
      '[::1]:8448',
      '[::ffff:127.0.0.1]',
      'inside.example',
      'inside.example:22',
      'hs.example',
      'b.example',
      'srv.example',
    ]) {
      expect(await refusal(name, world))
        .withContext(name)
        .toBe('FORBIDDEN_ADDRESS');
    }
    const hostOverrides = new Map([['hs.example', '192.168.0.1']]);
    expect(await refusal('hs.example:1', {}, { hostOverrides })).toBe('FORBIDDEN_ADDRESS');
  });

  it('leaves out the addresses that are not allowed and keeps the others', async () => {
    const { targets } = await resolve('hs.example:1', { hosts: { 'hs.example': ['10.0.0.1', PUBLIC] } });
    expect(targets).toEqual([{ address: PUBLIC, port: 1 }]);
  });

  it('is allowed for the ranges that the operator lists', async () => {
    const world = { hosts: { 'hs.example': ['127.0.0.2', '127.1.0.1'] } };
    const { targets } = await resolve('hs.example:1', world, { allowedRanges: ['127.0.0.0/24'] });
    expect(targets).toEqual([{ address: '127.0.0.2', port: 1 }]);
  });
});

describe('the policy for addresses', () => {
  it('refuses what is not public', () => {
    const policy = new AddressPolicy();
    for (const address of [
      ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1'],
      ...['172.31.255.255', '192.168.1.1', '198.18.0.1', '224.0.0.1', '239.1.1.1', '255.255.255.255'],
      ...['::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd12:3456::1', 'ff02::1', '2001:db8::1'],
      ...['::ffff:127.0.0.1', '::ffff:a00:1', '::127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1'],
      ...['', 'localhost', '1.2.3', '0x7f.0.0.1'],
    ]) {
      expect(policy.allows(address)).withContext(address).toBeFalse();
    }
    for (const address of [PUBLIC, PUBLIC_6, '172.32.0.1', '9.255.255.255', '::ffff:8.8.8.8', '2a01:4f8::1']) {
      expect(policy.allows(address)).withContext(address).toBeTrue();
    }
  });

  it('refuses to start with a malformed range', () => {
    for (const range of ['127.0.0.1', '127.0.0.0/33', '::/129', 'x/8', '10.0.0.0/', '10.0.0.0/8 ']) {
      expect(() => new AddressPolicy([range]))
        .withContext(range)
        .toThrowError(TypeError);
    }
    expect(new AddressPolicy(['fd00::/8', '10.0.0.0/8']).allows('fd00::1')).toBeTrue();
  });
});

describe('the memory of well-known documents', () => {
  const MINUTE = 60_000;
  const HOUR = 60 * MINUTE;
  const hosts = { 'hs.example': [PUBLIC], 'm.example': [PUBLIC] };

  /** For how long an answer is kept, in ms, as far as the probes tell: the longest after which nothing was asked. */
  async function keptFor(answer: Partial<HttpsAnswer> | undefined, probes: number[]): Promise<number> {
    let kept = -1;
    for (const probe of probes) {
      let now = Date.parse('2026-01-01T00:00:00Z');
      const wellKnown: Record<string, Partial<HttpsAnswer>> = answer === undefined ? {} : { 'hs.example': answer };
      const { discovery, asked } = discoveryIn({ hosts, wellKnown }, { now: () => now });
      await discovery.resolveServer('hs.example');
      now += probe;
      await discovery.resolveServer('hs.example');
      if (asked.filter((question) => question === 'web hs.example').length === 1) kept = Math.max(kept, probe);
    }
    return kept;
  }

  it('lasts as long as the answer says, within bounds, and shorter for failures', async () => {
    const good = delegation('m.example:1');
    const probes = [MINUTE, 4 * MINUTE, 30 * MINUTE, 90 * MINUTE, 23 * HOUR, 47 * HOUR, 49 * HOUR];
    expect(await keptFor(good, probes)).toBe(23 * HOUR);
    expect(await keptFor({ ...good, cacheControl: 'public, max-age=3600' }, probes)).toBe(30 * MINUTE);
    expect(await keptFor({ ...good, cacheControl: 'max-age=1' }, probes)).toBe(4 * MINUTE);
    expect(await keptFor({ ...good, cacheControl: 'no-store' }, probes)).toBe(4 * MINUTE);
    expect(await keptFor({ ...good, cacheControl: 'max-age=99999999' }, probes)).toBe(47 * HOUR);
    expect(await keptFor({ ...good, expires: 'Thu, 01 Jan 2026 02:00:00 GMT' }, probes)).toBe(90 * MINUTE);
    expect(await keptFor({ status: 404 }, probes)).toBe(30 * MINUTE);
    expect(await keptFor(undefined, probes)).toBe(MINUTE);
  });

  it('asks once for all who ask at the same time', async () => {
    const { discovery, asked } = discoveryIn({ hosts, wellKnown: { 'hs.example': delegation('m.example:1') } });
    await Promise.all(['hs.example', 'HS.example', 'hs.example'].map((name) => discovery.resolveServer(name)));
    expect(asked.filter((question) => question.startsWith('web'))).toEqual(['web hs.example']);
  });

  it('forgets the oldest when there are too many', async () => {
    const { discovery, asked } = discoveryIn({});
    for (let i = 0; i < 1001; i++) await rejection(discovery.resolveServer(`h${i}.example`));
    await rejection(discovery.resolveServer('h1000.example'));
    await rejection(discovery.resolveServer('h0.example'));
    const count = (host: string): number => asked.filter((question) => question === `web ${host}`).length;
    expect([count('h1000.example'), count('h0.example')]).toEqual([1, 2]);
  });
});
