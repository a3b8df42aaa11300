import {
  checkEventSignaturesAndHash,
  citedHashes,
  eventId,
  hashAndSign,
  parsePdu,
  redact,
  wireForm,
} from '../../federation/event.ts';
import type { JsonObject, JsonValue } from '../../federation/json.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { resolveState } from '../../federation/state-resolution.ts';
import { REFERENCE_HASHES } from '../../federation/wire-form.ts';
import { stateKey } from '../../federation/auth-rules.ts';
import { keysOf, version } from './support.ts';
import { ALICE, BOB, MALLORY, TestRoom } from './test-room.ts';
import type { Draft } from './test-room.ts';

/** A public room with Alice (level 100), Bob (50) and Mallory (0) in it. */
function room(versionId: string): TestRoom {
  const made = new TestRoom(versionId);
  made.member(ALICE, 'join');
  made.levels({ users: { [ALICE]: 100, [BOB]: 50 }, notifications: { room: 60 } });
  made.joinRule('public');
  made.member(BOB, 'join');
  made.member(MALLORY, 'join');
  return made;
}

describe('Events of old room versions', () => {
  it('are named in base64 in version 3 and in URL-safe base64 in version 4', () => {
    const event = room('6').make({ type: 'm.room.message', sender: BOB });
    const numbered = Array.from({ length: 20 }, (_, depth) => ({ ...event, depth }));
    const old = numbered.map((pdu) => eventId(pdu, version('3')));
    expect(old.join('')).toMatch(/[+/]/);
    expect(old.map((id) => id.replaceAll('+', '-').replaceAll('/', '_'))).toEqual(
      numbered.map((pdu) => eventId(pdu, version('4'))),
    );
  });

  it('list aliases, which a redaction leaves, for the own server whatever the power of the sender; not from 6 on', () => {
    for (const id of ['3', '4', '5', '6']) {
      const r = room(id);
      const draft = { type: 'm.room.aliases', sender: MALLORY, content: { aliases: ['#a:other.example'] } };
      const own = { ...draft, state_key: 'other.example' };
      const old = id !== '6';
      expect(r.verdict(own) === 'allowed')
        .withContext(id)
        .toBe(old);
      expect(r.verdict({ ...draft, state_key: 'hs.example' })).not.toBe('allowed');
      const left: object = redact(r.make(own), r.version).content;
      expect(left)
        .withContext(id)
        .toEqual(old ? { aliases: ['#a:other.example'] } : {});
    }
  });

  it('may change the power to notify a room whatever it was before version 6', () => {
    for (const [id, allowed] of [
      ['5', true],
      ['6', false],
    ] as const) {
      const content = { users: { [ALICE]: 100, [BOB]: 50 }, notifications: { room: 0 } };
      const verdict = room(id).verdict({ type: 'm.room.power_levels', sender: BOB, state_key: '', content });
      expect(verdict === 'allowed')
        .withContext(id)
        .toBe(allowed);
    }
  });

  it('need a key that was valid when they were made from version 5 on', async () => {
    const key = createSigningKey(generateSeed(), '1');
    const expired: KeyLookup = {
      key: (_server, _keyId, validAt) =>
        Promise.resolve(typeof validAt === 'number' && validAt < 1_000_000 ? key.publicKey : undefined),
    };
    for (const [id, good] of [
      ['4', true],
      ['5', false],
    ] as const) {
      const r = room(id);
      const event = hashAndSign(r.make({ type: 'm.room.message', sender: BOB }), r.version, 'hs.example', key);
      const check = checkEventSignaturesAndHash(event, r.version, expired);
      if (good) expect(await check).toEqual(event);
      else await expectAsync(check).toBeRejectedWithError(/No key/);
    }
  });
});

describe('Rooms of versions 1 and 2', () => {
  const key = createSigningKey(generateSeed(), '1');
  const keyring = keysOf({ 'hs.example ed25519:1': key.publicKey });

  /** An event as another server sends it. */
  function sent(r: TestRoom, draft: Draft): JsonObject {
    const { event_id: _none, ...made } = r.make(draft);
    const hashes = (ids: readonly string[]): JsonValue[] => ids.map((id) => citedHashes(r.event(id), r.version));
    const aside = { auth_events: hashes(made.auth_events), prev_events: hashes(made.prev_events) };
    return wireForm(hashAndSign({ ...made, [REFERENCE_HASHES]: aside }, r.version, 'hs.example', key), r.version);
  }

  for (const id of ['1', '2']) {
    it(`of version ${id} have events that carry their ids and the hashes of those that they cite`, async () => {
      const r = room(id);
      const wire = sent(r, { type: 'm.room.message', sender: BOB, content: { body: 'Moin' } });
      expect(wire['event_id']).toMatch(/^\$[A-Za-z0-9_-]+:hs\.example$/);
      const hash: JsonValue = jasmine.stringMatching(/^[A-Za-z0-9+/]{43}$/) as unknown as string;
      expect(wire['auth_events']).toContain([r.createId, { sha256: hash }]);
      const pdu = parsePdu(wire, r.version);
      expect(pdu.auth_events).toContain(r.createId);
      expect(eventId(pdu, r.version)).toBe(String(wire['event_id']));
      expect(await checkEventSignaturesAndHash(pdu, r.version, keyring)).toBe(pdu);
      expect(JSON.stringify(wireForm(pdu, r.version)['prev_events'])).toBe(JSON.stringify(wire['prev_events']));
    });
  }

  it('refuse events without an id, with the id of a hash, or with mere ids for those that they cite', () => {
    const r = room('2');
    const wire = sent(r, { type: 'm.room.message', sender: BOB });
    const { event_id: _id, ...nameless } = wire;
    const cases: JsonObject[] = [
      nameless,
      { ...wire, event_id: `$${'x'.repeat(43)}` },
      { ...wire, prev_events: [r.createId] },
      { ...wire, auth_events: [[r.createId]] },
      { ...wire, auth_events: [[r.createId, { sha256: 5 }]] },
      { ...wire, prev_events: [[7, {}]] },
      { ...wire, prev_events: {} },
    ];
    for (const bad of cases) {
      expect(() => parsePdu(bad, r.version))
        .withContext(JSON.stringify(bad['prev_events']))
        .toThrowError(/Malformed|hashes|no event_id/);
    }
  });

  it('believe neither a hash that was changed nor an id that its server did not sign', async () => {
    const r = room('1');
    const wire = sent(r, { type: 'm.room.message', sender: BOB, content: { body: 'Moin' } });
    const other = parsePdu({ ...wire, prev_events: [[r.createId, { sha256: 'AAAA' }]] }, r.version);
    await expectAsync(checkEventSignaturesAndHash(other, r.version, keyring)).toBeRejectedWithError(/wrong/);
    const renamed = parsePdu({ ...wire, event_id: '$mine:other.example' }, r.version);
    await expectAsync(checkEventSignaturesAndHash(renamed, r.version, keyring)).toBeRejectedWithError(
      /other.example|wrong/,
    );
    const hidden = parsePdu({ ...wire, [REFERENCE_HASHES]: { auth_events: [], prev_events: [] } }, r.version);
    expect(await checkEventSignaturesAndHash(hidden, r.version, keyring)).toEqual(parsePdu(wire, r.version));
  });

  it('let somebody redact what is of their own server, or anything with the power for it', () => {
    const r = room('1');
    const redaction = (sender: string, redacts: string): string =>
      r.verdict({ type: 'm.room.redaction', sender, redacts } as Draft);
    expect(redaction(MALLORY, '$a:other.example')).toBe('allowed');
    expect(redaction(MALLORY, '$a:hs.example')).toMatch(/may not redact/);
    expect(redaction(BOB, '$a:other.example')).toBe('allowed');
  });

  describe('resolve states in version 1', () => {
    const topicKey = stateKey('m.room.topic', '');
    const bobKey = stateKey('m.room.member', BOB);
    const topic = (sender: string, depth: number): Draft => ({ type: 'm.room.topic', sender, state_key: '', depth });
    const resolve = (r: TestRoom, ...states: TestRoom['state'][]) =>
      resolveState(r.version, states, {
        event: (id) => Promise.resolve(r.events.get(id)),
        rejected: (id) => r.rejected.has(id),
      });

    it('by the deepest event that is allowed', async () => {
      const r = room('1');
      const [left, right, third] = [new Map(r.state), new Map(r.state), new Map(r.state)];
      r.add(topic(ALICE, 5), left);
      const deeper = r.add(topic(BOB, 6), right);
      r.add(topic(MALLORY, 7), third);
      for (const states of [
        [left, right, third],
        [third, right, left],
      ]) {
        expect((await resolve(r, ...states)).get(topicKey)).toBe(deeper);
      }
    });

    it('with memberships first, of which each must be allowed by the one before', async () => {
      const r = room('1');
      const [left, right] = [new Map(r.state), new Map(r.state)];
      const ban: Draft = {
        type: 'm.room.member',
        sender: ALICE,
        state_key: BOB,
        content: { membership: 'ban' },
        depth: 5,
      };
      const banned = r.add(ban, left);
      const name = {
        type: 'm.room.member',
        sender: BOB,
        state_key: BOB,
        content: { membership: 'join', displayname: 'B' },
      };
      r.add({ ...name, depth: 6 }, right);
      const before = r.add(topic(ALICE, 4), left);
      r.add(topic(BOB, 7), right);
      const resolved = await resolve(r, left, right);
      expect(resolved.get(bobKey)).toBe(banned);
      expect(resolved.get(topicKey)).toBe(before);
    });

    it('keeping what only one of them has', async () => {
      const r = room('1');
      const left = new Map(r.state);
      const only = r.add(topic(MALLORY, 5), left);
      const other = new Map(r.state);
      r.add({ type: 'm.room.name', sender: ALICE, state_key: '' }, other);
      expect((await resolve(r, left, other)).get(topicKey)).toBe(only);
    });
  });
});
