import { checkEventSignaturesAndHash, eventId, hashAndSign, redact } from '../../federation/event.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { version } from './support.ts';
import { ALICE, BOB, MALLORY, TestRoom } from './test-room.ts';

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
