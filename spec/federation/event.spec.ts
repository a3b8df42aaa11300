import {
  addSignature,
  BadEventError,
  BadSignatureError,
  checkEventSignaturesAndHash,
  contentHash,
  eventId,
  hashAndSign,
  parsePdu,
  redact,
  redactsOf,
  roomIdOf,
} from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import { canonicalJson, parseStrict } from '../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../federation/json.ts';
import { SUPPORTED_ROOM_VERSIONS } from '../../federation/room-versions.ts';
import { createSigningKey, generateSeed, verifySignature } from '../../federation/signing.ts';
import { keysOf, rejection, version } from './support.ts';
import { VECTORS } from './vectors.ts';

const vectorKey = createSigningKey(VECTORS.signing_key.seed, '1');
const keyring = keysOf({ 'hs.example ed25519:1': VECTORS.signing_key.public_key });
const V12 = version('12');

function without(object: JsonObject, ...names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** A message of a version 12 room, signed by hs.example unless changed. */
function message(changes: Record<string, JsonValue> = {}): UnsignedPdu {
  return {
    type: 'm.room.message',
    sender: '@alice:hs.example',
    room_id: `!${'A'.repeat(43)}`,
    content: { body: 'hello' },
    auth_events: [],
    prev_events: ['$before'],
    depth: 7,
    origin_server_ts: 1_700_000_000_000,
    ...changes,
  };
}

function sign(changes: Record<string, JsonValue> = {}, v = V12): Pdu {
  return hashAndSign(message(changes), v, 'hs.example', vectorKey);
}

for (const [id, events] of Object.entries(VECTORS.room_versions)) {
  describe(`the golden events of room version ${id}`, () => {
    const v = version(id);
    for (const vector of events) {
      it(`agree with an independent implementation: ${vector.name}`, async () => {
        const pdu = parsePdu(parseStrict(canonicalJson(vector.signed)), v);
        expect(eventId(pdu, v)).toBe(vector.event_id);
        expect(roomIdOf(pdu, v)).toBe(vector.room_id);
        expect(contentHash(pdu, version(id))).toBe(pdu.hashes.sha256);
        expect(canonicalJson(redact(pdu, v))).toBe(canonicalJson(without(vector.redacted, 'unsigned')));
        expect(await checkEventSignaturesAndHash(pdu, v, keyring)).toBe(pdu);
        const again = hashAndSign(pdu, v, 'hs.example', vectorKey);
        expect(canonicalJson(again)).toBe(canonicalJson(pdu));
      });
    }
  });
}

describe('the example events of the appendix', () => {
  const first = {
    room_id: '!x:domain',
    sender: '@a:domain',
    origin: 'domain',
    origin_server_ts: 1000000,
    type: 'X',
    content: {},
    prev_events: [],
    auth_events: [],
    depth: 3,
    unsigned: { age_ts: 1000000 },
  };

  it('hash and sign as published', () => {
    const signed = hashAndSign(first, version('6'), 'domain', vectorKey);
    expect(signed.hashes.sha256).toBe('5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos');
    expect(signed.signatures['domain']?.['ed25519:1']).toBe(
      'KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg',
    );
    expect(eventId(signed, version('10'))).toBe('$8yif6p8EqgoSten2BLje9ntKm720NyFLWQv9tn8memc');
  });

  it('lose origin before signing from room version 11 on', () => {
    const signed = hashAndSign(first, version('11'), 'domain', vectorKey);
    expect(signed.signatures['domain']?.['ed25519:1']).toBe(
      'Jxp+1glFcZM+nnHpY0EkedRR7u0VmKsJYGnQqIvqus3UvL5X/p1y6wSkLhGoTBel6MZ9lrMIzUqrjqFquWJKBw',
    );
    expect(eventId(signed, version('11'))).toBe('$70O_oKlXzFbkfu0KE88USi98DjSWrOELrPj-8tisl8I');
  });

  it('hash and sign a redactable event as published', () => {
    const event = {
      content: { body: 'Here is the message content' },
      event_id: '$0:domain',
      origin: 'domain',
      origin_server_ts: 1000000,
      type: 'm.room.message',
      room_id: '!r:domain',
      sender: '@u:domain',
      unsigned: { age_ts: 1000000 },
    };
    const signed = hashAndSign(event as unknown as UnsignedPdu, version('6'), 'domain', vectorKey);
    expect(signed.hashes.sha256).toBe('onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g');
    expect(signed.signatures['domain']?.['ed25519:1']).toBe(
      'Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA',
    );
  });
});

describe('redaction', () => {
  function contentAfter(id: string, type: string, content: JsonObject): object {
    return redact(sign({ type, content, state_key: '' }), version(id)).content;
  }

  it('keeps allow of join rules from version 8 on', () => {
    const content = { join_rule: 'restricted', allow: [], other: 1 };
    expect(contentAfter('7', 'm.room.join_rules', content)).toEqual({ join_rule: 'restricted' });
    expect(contentAfter('8', 'm.room.join_rules', content)).toEqual({ join_rule: 'restricted', allow: [] });
  });

  it('keeps the authorising user of a join from version 9 on', () => {
    const content = { membership: 'join', join_authorised_via_users_server: '@a:b', displayname: 'A' };
    expect(contentAfter('8', 'm.room.member', content)).toEqual({ membership: 'join' });
    expect(contentAfter('9', 'm.room.member', content)).toEqual(without(content, 'displayname'));
  });

  it('keeps the whole create event, the invite level, redacts and the signed part of an invitation from 11 on', () => {
    expect(contentAfter('10', 'm.room.create', { creator: '@a:b', extra: 1 })).toEqual({ creator: '@a:b' });
    expect(contentAfter('11', 'm.room.create', { extra: 1 })).toEqual({ extra: 1 });
    expect(contentAfter('10', 'm.room.power_levels', { invite: 1, ban: 2 })).toEqual({ ban: 2 });
    expect(contentAfter('11', 'm.room.power_levels', { invite: 1, ban: 2 })).toEqual({ invite: 1, ban: 2 });
    expect(contentAfter('10', 'm.room.redaction', { redacts: '$x' })).toEqual({});
    expect(contentAfter('11', 'm.room.redaction', { redacts: '$x', reason: 'r' })).toEqual({ redacts: '$x' });
    const invite = { membership: 'invite', third_party_invite: { display_name: 'x', signed: { token: 't' } } };
    expect(contentAfter('10', 'm.room.member', invite)).toEqual({ membership: 'invite' });
    expect(contentAfter('11', 'm.room.member', invite)).toEqual({
      membership: 'invite',
      third_party_invite: { signed: { token: 't' } },
    });
  });

  it('removes origin, membership, prev_state and unsigned where the version says so', () => {
    const event = sign({ origin: 'hs.example', membership: 'join', prev_state: [], unsigned: {}, extra: 1 });
    expect(Object.keys(redact(event, version('10')))).toEqual(
      jasmine.arrayWithExactContents([...Object.keys(redact(event, V12)), 'origin', 'membership', 'prev_state']),
    );
    expect(Object.keys(redact(event, V12))).not.toContain('unsigned');
  });

  it('finds the target of a redaction where the version keeps it', () => {
    expect(redactsOf(sign({ type: 'm.room.redaction', redacts: '$a', content: {} }), version('10'))).toBe('$a');
    expect(redactsOf(sign({ type: 'm.room.redaction', redacts: '$a', content: {} }), V12)).toBeUndefined();
    expect(redactsOf(sign({ type: 'm.room.redaction', content: { redacts: '$a' } }), V12)).toBe('$a');
    for (const redacts of ['', '\0', '$a\0', 'a', `$${'a'.repeat(255)}`, ['$a']]) {
      expect(redactsOf(sign({ type: 'm.room.redaction', content: { redacts } }), V12)).toBeUndefined();
    }
  });

  it('does not change the event id in any room version', () => {
    for (const id of SUPPORTED_ROOM_VERSIONS) {
      const content = { membership: 'join', displayname: 'x' };
      const event = sign({ content, type: 'm.room.member', state_key: '@a:b' }, version(id));
      expect(eventId(redact(event, version(id)), version(id))).toBe(eventId(event, version(id)));
    }
  });
});

describe('the format of an event', () => {
  function refusal(changes: Record<string, JsonValue>, v = V12): string {
    try {
      parsePdu({ ...sign(), ...changes }, v);
      return 'accepted';
    } catch (error) {
      return error instanceof BadEventError ? error.code : 'another error';
    }
  }

  it('is checked: every field that servers rely on has its type', () => {
    expect(refusal({})).toBe('accepted');
    const bad: Record<string, JsonValue>[] = [
      { type: 1 },
      { sender: 'alice' },
      { sender: '@alice' },
      { sender: '@al\0ice:hs.example' },
      { room_id: 7 },
      { room_id: '!x:hs.example' },
      { state_key: null },
      { content: [] },
      { content: 'x' },
      { auth_events: {} },
      { prev_events: [['$a', {}]] },
      { prev_events: ['$a\0'] },
      { auth_events: ['a'] },
      { depth: -1 },
      { depth: '1' },
      { origin_server_ts: 'now' },
      { hashes: {} },
      { signatures: [] },
      { signatures: { 'hs.example': { 'ed25519:1': 1 } } },
      { unsigned: 1 },
    ];
    for (const changes of bad) expect(refusal(changes)).withContext(JSON.stringify(changes)).toBe('M_BAD_JSON');
    for (const value of [null, [], 'x', 1]) expect(() => parsePdu(value, V12)).toThrowError(BadEventError);
  });

  it('refuses numbers that have no canonical form, wherever they are', () => {
    expect(refusal({ content: { a: [1.5] } })).toBe('M_BAD_JSON');
    expect(refusal({ extra: 2 ** 60 })).toBe('M_BAD_JSON');
    expect(refusal({ depth: 2 ** 53 })).toBe('M_BAD_JSON');
  });

  it('refuses an event of more than 65536 bytes of canonical JSON', () => {
    const room = 65_536 - Buffer.byteLength(canonicalJson({ ...sign(), content: { body: '' } }));
    expect(refusal({ content: { body: 'x'.repeat(room) } })).toBe('accepted');
    expect(refusal({ content: { body: 'x'.repeat(room + 1) } })).toBe('M_TOO_LARGE');
    expect(refusal({ content: { body: 'ä'.repeat(room / 2 + 1) } })).toBe('M_TOO_LARGE');
  });

  it('counts the 255 limits in bytes from version 11 on and in code points before', () => {
    const type = 'ä'.repeat(200);
    expect(refusal({ type })).toBe('M_TOO_LARGE');
    expect(refusal({ type, room_id: '!x:hs.example' }, version('10'))).toBe('accepted');
    expect(refusal({ state_key: 'x'.repeat(256), room_id: '!x:hs.example' }, version('10'))).toBe('M_TOO_LARGE');
    expect(refusal({ state_key: 'x'.repeat(255) })).toBe('accepted');
  });

  it('refuses more than 20 prev_events and 10 auth_events, except in history that was asked for', () => {
    const ids = Array.from({ length: 21 }, (_, i) => `$${i}`);
    expect(refusal({ prev_events: ids })).toBe('M_BAD_JSON');
    expect(refusal({ auth_events: ids.slice(0, 11) })).toBe('M_BAD_JSON');
    expect(refusal({ prev_events: ids.slice(0, 20), auth_events: ids.slice(0, 10) })).toBe('accepted');
    // Only the first event of a room has nothing before it; what is kept without the room needs no place in it.
    expect(refusal({ prev_events: [] })).toBe('M_BAD_JSON');
    const aside = sign({ prev_events: [] });
    expect(parsePdu(aside, V12, { outsideRoom: true })).toBe(aside);
    const old = sign({ prev_events: ids, auth_events: ids });
    expect(parsePdu(old, V12, { anyNumberOfReferences: true })).toBe(old);
  });

  it('is refused at the first of very many things in it that are wrong, or that are too many', () => {
    const reason = (changes: Record<string, JsonValue>, v = V12): string => {
      try {
        return parsePdu({ ...sign(), ...changes }, v).type;
      } catch (error) {
        return error instanceof BadEventError ? error.message : 'another error';
      }
    };
    const many = 100_000;
    const keys = Object.fromEntries(Array.from({ length: many }, (_, n) => [`k${String(n)}`, n]));
    const wrong: Record<string, JsonValue>[] = [
      { auth_events: Array.from({ length: many }, () => 1) },
      { prev_events: Array.from({ length: many }, () => '$a') },
      { signatures: keys },
      { signatures: { 'hs.example': keys } },
    ];
    for (const changes of wrong) {
      expect(reason(changes).length).withContext(Object.keys(changes).join()).toBeLessThan(100);
    }
    const pairs = Array.from({ length: many }, (): JsonValue => ['$a:hs.example', { sha256: 'x' }]);
    expect(reason({ auth_events: pairs, prev_events: [] }, version('2'))).toContain('hashes');
    expect(reason({ auth_events: [['$a:hs.example', keys]], prev_events: [] }, version('2'))).toContain('hashes');
  });

  it('wants no room_id in a create event of version 12, and one in every other event', () => {
    const create = without(sign({ type: 'm.room.create', state_key: '', content: {} }), 'room_id');
    expect(parsePdu(create, V12)).toBe(create as Pdu);
    expect(roomIdOf(create as Pdu, V12)).toBe(`!${eventId(create, V12).slice(1)}`);
    expect(() => parsePdu(create, version('11'))).toThrowError(BadEventError);
    expect(refusal({ type: 'm.room.create', state_key: '', content: {} })).toBe('M_BAD_JSON');
    expect(() => parsePdu(without(sign(), 'room_id'), V12)).toThrowError(BadEventError);
  });
});

describe('signatures and hash of an event', () => {
  const otherKey = createSigningKey(generateSeed(), 'o');
  const both = keysOf({
    'hs.example ed25519:1': vectorKey.publicKey,
    'other.example ed25519:o': otherKey.publicKey,
  });

  async function refused(pdu: Pdu, v = V12, keys = both): Promise<string> {
    const error = await rejection(checkEventSignaturesAndHash(pdu, v, keys));
    return error instanceof BadSignatureError ? error.server : String(error);
  }

  it('a bad content hash gives the redacted copy', async () => {
    const tampered: Pdu = { ...sign(), content: { body: 'forged' } };
    const result = await checkEventSignaturesAndHash(tampered, V12, both);
    expect(canonicalJson(result.content)).toBe('{}');
    expect(eventId(result, V12)).toBe(eventId(sign(), V12));
    const nonsense = await checkEventSignaturesAndHash(sign(), V12, both);
    expect(canonicalJson(nonsense.content)).toBe('{"body":"hello"}');
  });

  it('a bad signature is refused: a protected field was changed', async () => {
    for (const changes of [
      { sender: '@bert:hs.example' },
      { depth: 8 },
      { hashes: { sha256: 'AAAA' } },
      { type: 'x' },
    ]) {
      expect(await refused({ ...sign(), ...changes } as Pdu))
        .withContext(JSON.stringify(changes))
        .toBe('hs.example');
    }
  });

  it('a missing signature, or one of another server only, is refused', async () => {
    expect(await refused({ ...sign(), signatures: {} })).toBe('hs.example');
    expect(await refused(hashAndSign(message(), V12, 'other.example', otherKey))).toBe('hs.example');
    expect(await refused(sign({ sender: '@anna:other.example' }))).toBe('other.example');
  });

  it('a signature of a key that nobody knows does not count', async () => {
    expect(await refused(sign(), V12, keysOf({}))).toBe('hs.example');
    const two = addSignature(sign(), V12, 'hs.example', otherKey);
    expect(await checkEventSignaturesAndHash(two, V12, both)).toBe(two);
  });

  it('every signature of a known key must be good, not only one', async () => {
    const pdu = sign();
    const bad = { 'hs.example': { ...pdu.signatures['hs.example'], 'ed25519:2': otherKey.sign('other text') } };
    const keys = keysOf({ 'hs.example ed25519:1': vectorKey.publicKey, 'hs.example ed25519:2': otherKey.publicKey });
    expect(await refused({ ...pdu, signatures: bad }, V12, keys)).toBe('hs.example');
  });

  it('an event with a crowd of signatures is refused before keys are fetched', async () => {
    const crowd = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`ed25519:${i}`, 'AAAA']));
    const keys = { key: () => Promise.reject(new Error('must not be asked')) };
    expect(await refused({ ...sign(), signatures: { 'hs.example': crowd } }, V12, keys)).toBe('hs.example');
  });

  it('the key is looked up at the time of the event', async () => {
    const asked: unknown[] = [];
    const keys = {
      key: (...args: unknown[]) => {
        asked.push(args);
        return Promise.resolve(vectorKey.publicKey);
      },
    };
    await checkEventSignaturesAndHash(sign({ origin_server_ts: 12345 }), V12, keys);
    expect(asked).toEqual([['hs.example', 'ed25519:1', 12345]]);
  });

  it('a restricted join needs the signature of the authorising server as well, from version 8 on', async () => {
    const join = {
      type: 'm.room.member',
      state_key: '@alice:hs.example',
      content: { membership: 'join', join_authorised_via_users_server: '@anna:other.example' },
    };
    expect(await refused(sign(join))).toBe('other.example');
    const complete = addSignature(sign(join), V12, 'other.example', otherKey);
    expect(await checkEventSignaturesAndHash(complete, V12, both)).toBe(complete);
    const old = sign({ ...join, room_id: '!x:hs.example' }, version('7'));
    expect(await checkEventSignaturesAndHash(old, version('7'), both)).toBe(old);
    const broken = sign({ ...join, content: { membership: 'join', join_authorised_via_users_server: 7 } });
    expect(await refused(broken)).toBe('hs.example');
  });

  it('an invitation by third-party id does not need the signature of the sender', async () => {
    const content = { membership: 'invite', third_party_invite: { signed: {} } };
    const invite = sign({ type: 'm.room.member', state_key: '@b:c', sender: '@x:elsewhere.example', content });
    expect(await checkEventSignaturesAndHash(invite, V12, both)).toBe(invite);
  });

  it('adding a signature keeps the event and its other signatures', () => {
    const pdu = sign();
    const two = addSignature(pdu, V12, 'other.example', otherKey);
    expect(without(two, 'signatures')).toEqual(without(pdu, 'signatures'));
    expect(verifySignature(redact(two, V12), 'hs.example', 'ed25519:1', vectorKey.publicKey)).toBeTrue();
    expect(verifySignature(redact(two, V12), 'other.example', 'ed25519:o', otherKey.publicKey)).toBeTrue();
  });
});
