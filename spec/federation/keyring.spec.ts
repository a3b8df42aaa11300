import { setImmediate as idle } from 'node:timers/promises';
import { FederationError } from '../../federation/client.ts';
import type { FederationRequest } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { KeyRing, serverKeysDocument } from '../../federation/keyring.ts';
import type { StoredKeys } from '../../federation/keyring.ts';
import { createSigningKey, generateSeed, signJson, verifySignature } from '../../federation/signing.ts';
import { signRequest, verifyRequest, XMatrixError } from '../../federation/x-matrix.ts';
import { rejection } from './support.ts';

const OWN = createSigningKey(generateSeed(), 'own');
const FIRST = createSigningKey(generateSeed(), '1');
const SECOND = createSigningKey(generateSeed(), '2');
const SECONDS = 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = 1_800_000_000_000;

/** A key ring, one other server (`peer.example`) and a clock. */
class World {
  now = START;
  /** What the other server answers; undefined when it is down. */
  document: JsonObject | undefined;
  /** Whether all others say nothing at all. */
  silence = false;
  neighbours: readonly string[] = [];
  readonly requests: FederationRequest[] = [];
  readonly stored = new Map<string, StoredKeys>();
  ring: KeyRing;

  constructor(document?: JsonObject) {
    this.document = document;
    this.ring = this.restart();
  }

  restart(): KeyRing {
    this.ring = new KeyRing({
      serverName: 'hs.example',
      ownKeys: [OWN],
      ownOldKeys: [{ keyId: 'ed25519:old', publicKey: FIRST.publicKey, expiredTs: START - DAY }],
      client: {
        request: (request) => {
          this.requests.push(request);
          if (this.silence && request.destination !== 'peer.example') return new Promise(() => undefined);
          return this.document === undefined || request.destination !== 'peer.example'
            ? Promise.reject(new FederationError('UNREACHABLE', request.destination, 'down'))
            : Promise.resolve(this.document);
        },
      },
      store: {
        get: (server) => Promise.resolve(structuredClone(this.stored.get(server))),
        put: (server, keys) => {
          this.stored.set(server, structuredClone(keys));
          return Promise.resolve();
        },
      },
      isNeighbour: (server) => Promise.resolve(this.neighbours.includes(server)),
      now: () => this.now,
    });
    return this.ring;
  }

  publish(changes: JsonObject = {}, keys = [FIRST], validForMs = DAY): JsonObject {
    const { signatures: _signatures, ...plain } = serverKeysDocument({
      serverName: 'peer.example',
      keys,
      validForMs,
      now: () => this.now,
    });
    let document: JsonObject = { ...plain, ...changes };
    for (const key of keys) document = signJson(document, 'peer.example', key);
    this.document = document;
    return document;
  }

  key(keyId: string, validAt: number | 'now' = 'now'): Promise<string | undefined> {
    return this.ring.key('peer.example', keyId, validAt);
  }
}

/** Asks for the keys of two hundred servers, and waits for none. */
function flood(ring: KeyRing): void {
  for (let i = 0; i < 200; i++) ring.key(`s${i}.example`, 'ed25519:1', 'now').catch(() => undefined);
}

describe('the document of our keys', () => {
  it('is signed with each of them and says how long it is valid', () => {
    const document = serverKeysDocument({
      serverName: 'hs.example',
      keys: [FIRST, SECOND],
      oldKeys: [{ keyId: 'ed25519:old', publicKey: OWN.publicKey, expiredTs: 5 }],
      validForMs: DAY,
      now: () => START,
    });
    const { signatures: _signatures, ...plain } = document;
    expect(plain as unknown).toEqual({
      server_name: 'hs.example',
      valid_until_ts: START + DAY,
      verify_keys: { 'ed25519:1': { key: FIRST.publicKey }, 'ed25519:2': { key: SECOND.publicKey } },
      old_verify_keys: { 'ed25519:old': { key: OWN.publicKey, expired_ts: 5 } },
    });
    for (const { keyId, publicKey } of [FIRST, SECOND]) {
      expect(verifySignature(document, 'hs.example', keyId, publicKey)).toBeTrue();
    }
  });
});

describe('the key ring', () => {
  it('knows our own keys without asking anybody', async () => {
    const { ring, requests } = new World();
    expect(await ring.key('hs.example', 'ed25519:own', 'now')).toBe(OWN.publicKey);
    expect(await ring.key('hs.example', 'ed25519:other', 'now')).toBeUndefined();
    expect(await ring.key('hs.example', 'ed25519:old', 'now')).toBeUndefined();
    expect(await ring.key('hs.example', 'ed25519:old', START - 2 * DAY)).toBe(FIRST.publicKey);
    expect(requests).toEqual([]);
  });

  it('asks the server itself, unsigned, and remembers the answer over a restart', async () => {
    const world = new World();
    world.publish();
    expect(await world.key('ed25519:1')).toBe(FIRST.publicKey);
    world.restart();
    expect(await world.key('ed25519:1')).toBe(FIRST.publicKey);
    expect(world.requests.length).toBe(1);
    const { destination, method, path, signed } = world.requests[0] ?? {};
    expect([destination, method, path, signed]).toEqual(['peer.example', 'GET', '/_matrix/key/v2/server', false]);
  });

  it('asks once for all who ask at the same time', async () => {
    const world = new World();
    world.publish({}, [FIRST, SECOND]);
    const found = await Promise.all([1, 2, 1, 2].map((n) => world.key(`ed25519:${n}`)));
    expect(found).toEqual([FIRST, SECOND, FIRST, SECOND].map(({ publicKey }) => publicKey));
    expect(world.requests.length).toBe(1);
  });

  it('an expired key is refused: for a request now, and for an event from later', async () => {
    const world = new World();
    world.publish();
    await world.key('ed25519:1');
    world.document = undefined;
    world.now += DAY + 1;
    expect(await world.key('ed25519:1')).toBeUndefined();
    expect(await world.key('ed25519:1', START + DAY + 1)).toBeUndefined();
    expect(await world.key('ed25519:1', START + DAY)).toBe(FIRST.publicKey);
    const request = { method: 'GET', uri: '/x', origin: 'peer.example', destination: 'hs.example' };
    const authorization = signRequest(request, FIRST);
    const error = await rejection(verifyRequest({ ...request, authorization }, world.ring));
    expect(error instanceof XMatrixError && error.code).toBe('UNKNOWN_KEY');
    world.publish();
    world.now += HOUR;
    expect(await verifyRequest({ ...request, authorization }, world.ring)).toBe('peer.example');
  });

  it('does not believe in a validity of more than seven days', async () => {
    const world = new World();
    world.publish({}, [FIRST], 365 * DAY);
    expect(await world.key('ed25519:1', START + 7 * DAY)).toBe(FIRST.publicKey);
    expect(await world.key('ed25519:1', START + 7 * DAY + 1)).toBeUndefined();
  });

  it('takes old keys for events of their time and never for requests', async () => {
    const world = new World();
    const old = { 'ed25519:old': { key: SECOND.publicKey, expired_ts: START - DAY } };
    world.publish({ old_verify_keys: old });
    expect(await world.key('ed25519:old', START - DAY)).toBe(SECOND.publicKey);
    expect(await world.key('ed25519:old', START - DAY + 1)).toBeUndefined();
    expect(await world.key('ed25519:old')).toBeUndefined();
    const future = new World();
    future.publish({ old_verify_keys: { 'ed25519:old': { key: SECOND.publicKey, expired_ts: START + DAY } } });
    expect(await future.key('ed25519:old')).toBeUndefined();
  });

  it('refuses a document that is not properly signed, expired, malformed or of another server', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 21 }, (_, i) => [`ed25519:k${i}`, { key: FIRST.publicKey }] as const),
    );
    const good = new World().publish();
    const bad: JsonObject[] = [
      new World().publish({ server_name: 'other.example' }),
      new World().publish({ valid_until_ts: START }),
      new World().publish({ valid_until_ts: 'x' }),
      new World().publish({ verify_keys: {} }),
      new World().publish({ verify_keys: many }),
      new World().publish({ verify_keys: { 'ed25519:1': { key: SECOND.publicKey } } }),
      new World().publish({ old_verify_keys: { 'ed25519:x': { key: 1 } } }),
      { ...good, signatures: {} },
      { ...good, signatures: { 'other.example': { 'ed25519:1': 'x' } } },
      { ...good, valid_until_ts: START + 2 * DAY },
      signJson({ ...good, signatures: {} }, 'peer.example', SECOND),
      {},
    ];
    for (const document of bad) {
      const world = new World(document);
      expect(await world.key('ed25519:1'))
        .withContext(JSON.stringify(document))
        .toBeUndefined();
      expect(world.stored.size).toBe(0);
    }
    expect(await new World(good).key('ed25519:1')).toBe(FIRST.publicKey);
  });

  it('does not take a key from a document that the key has not signed', async () => {
    const world = new World();
    const keys = { 'ed25519:1': { key: FIRST.publicKey }, 'ed25519:2': { key: SECOND.publicKey } };
    world.publish({ verify_keys: keys }, [FIRST]);
    expect(await world.key('ed25519:2')).toBeUndefined();
    expect(await world.key('ed25519:1')).toBe(FIRST.publicKey);
  });

  it('does not lose good keys to a bad or a worse document', async () => {
    const world = new World();
    world.publish({}, [FIRST], 2 * DAY);
    await world.key('ed25519:1');
    for (const document of [
      undefined,
      {},
      world.publish({}, [FIRST], 10 * HOUR),
      world.publish({ server_name: 'x' }),
    ]) {
      world.document = document;
      world.now += HOUR;
      expect(await world.key('ed25519:unknown')).toBeUndefined();
      expect(await world.key('ed25519:1', START + 2 * DAY)).toBe(FIRST.publicKey);
    }
    expect(world.requests.length).toBe(5);
  });

  it('learns a new key, and keeps the one before it for events from before', async () => {
    const world = new World();
    world.publish({}, [FIRST]);
    await world.key('ed25519:1');
    world.now += HOUR;
    world.publish({}, [SECOND]);
    expect(await world.key('ed25519:2')).toBe(SECOND.publicKey);
    expect(await world.key('ed25519:1')).toBeUndefined();
    expect(await world.key('ed25519:1', world.now)).toBe(FIRST.publicKey);
    expect(await world.key('ed25519:1', world.now + 1)).toBeUndefined();
  });

  it('does not ask again and again for a key that does not exist, nor a server that is down', async () => {
    const world = new World();
    world.publish();
    for (let i = 0; i < 20; i++) await world.key(`ed25519:made_up_${i}`);
    expect(world.requests.length).toBe(1);
    world.now += 11 * SECONDS;
    await world.key('ed25519:made_up');
    expect(world.requests.length).toBe(2);

    const down = new World();
    for (let i = 0; i < 3600; i++) {
      await down.key('ed25519:1');
      down.now += SECONDS;
    }
    expect(down.requests.length).toBeGreaterThan(5);
    expect(down.requests.length).toBeLessThan(15);
    down.publish();
    down.now += 10 * 60 * SECONDS;
    expect(await down.key('ed25519:1')).toBe(FIRST.publicKey);
  });

  it('asks nobody about a key id that is none', async () => {
    const world = new World();
    world.publish();
    for (const keyId of ['rsa:1', 'ed25519:', 'ed25519:a-b', '__proto__', 'constructor']) {
      expect(await world.key(keyId))
        .withContext(keyId)
        .toBeUndefined();
    }
    expect(world.requests).toEqual([]);
  });

  it('has a limit to the fetches that strangers can cause at the same time', async () => {
    const world = new World();
    const asked = Array.from({ length: 200 }, (_, i) => world.ring.key(`s${i}.example`, 'ed25519:1', 'now'));
    await Promise.all(asked);
    expect(world.requests.length).toBeLessThanOrEqual(50);
  });

  it('strangers who are silent keep out strangers, and nobody who is in a room with us or whose keys we have', async () => {
    const world = new World();
    world.publish({}, [FIRST], HOUR);
    expect(await world.key('ed25519:1')).toBe(FIRST.publicKey);
    world.now += 2 * HOUR;
    world.publish();
    world.silence = true;
    flood(world.ring);
    await idle();
    const atStart = world.requests.length;
    expect(atStart).toBe(51);
    expect(await world.ring.key('late.example', 'ed25519:1', 'now')).toBeUndefined();
    expect(world.requests.length).toBe(atStart);
    expect(await world.key('ed25519:1'))
      .withContext('its key is out of date')
      .toBe(FIRST.publicKey);

    const anew = new World();
    anew.publish();
    anew.silence = true;
    anew.neighbours = ['peer.example'];
    flood(anew.ring);
    await idle();
    expect(await anew.key('ed25519:1'))
      .withContext('it is in a room with us')
      .toBe(FIRST.publicKey);
  });
});

describe('A key ring with notaries', () => {
  const NOTARY = createSigningKey(generateSeed(), 'n');

  /** @param kept what the notary has of `peer.example` */
  function ring(kept: JsonObject): KeyRing {
    return new KeyRing({
      serverName: 'hs.example',
      ownKeys: [OWN],
      notaries: ['notary.example'],
      client: {
        request: ({ destination, path }) => {
          if (destination !== 'notary.example') {
            return Promise.reject(new FederationError('UNREACHABLE', destination, 'down'));
          }
          return Promise.resolve(
            path.endsWith('/server')
              ? serverKeysDocument({ serverName: 'notary.example', keys: [NOTARY], validForMs: DAY, now: () => START })
              : { server_keys: [kept] },
          );
        },
      },
      store: { get: () => Promise.resolve(undefined), put: () => Promise.resolve() },
      now: () => START,
    });
  }
  const document = (serverName: string): JsonObject =>
    serverKeysDocument({ serverName, keys: [FIRST], validForMs: DAY, now: () => START });

  it('believes them about a server that can not be reached, for events and not for requests', async () => {
    const keys = ring(signJson(document('peer.example'), 'notary.example', NOTARY));
    expect(await keys.key('peer.example', FIRST.keyId, START)).toBe(FIRST.publicKey);
    expect(await keys.key('peer.example', FIRST.keyId, 'now')).toBeUndefined();
    expect(await keys.key('peer.example', FIRST.keyId, START + 30 * DAY)).toBeUndefined();
  });

  it('believes no answer that the notary has not signed, that is of another server, or changed', async () => {
    const signed = signJson(document('peer.example'), 'notary.example', NOTARY);
    for (const kept of [
      document('peer.example'),
      signJson(document('other.example'), 'notary.example', NOTARY),
      signJson({ ...document('peer.example'), valid_until_ts: START + 2 * DAY }, 'notary.example', NOTARY),
      { ...signed, valid_until_ts: START + 3 * DAY },
    ]) {
      expect(await ring(kept).key('peer.example', FIRST.keyId, START)).toBeUndefined();
    }
  });
});
