/** Who is in a conference by the state of its room: of people in the room, whose server is not shut out, by our clock. */
import { stateKey } from '../../federation/auth-rules.ts';
import type { JsonObject } from '../../federation/json.ts';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import type { StoredEvent } from '../../homeserver/engine/rooms/rooms.ts';
import {
  joinedContent,
  MEMBERSHIP_EXPIRES_MS,
  membershipKey,
} from '../../homeserver/meetings/conference/membership.ts';
import { membershipsIn } from '../../homeserver/meetings/conference/room-memberships.ts';

const ANNA = '@anna:luebeck.example';
const OTTO = '@otto:hamburg.example';
const BEN = '@ben:bremen.example';
const HOUR = 60 * 60 * 1000;

describe('The memberships in the state of a room', () => {
  let state: Map<string, StoredEvent>;
  /** How far the clock of Hamburg is ahead, in ms. */
  let ahead: number;
  let untrusted: Set<string>;

  beforeEach(() => {
    state = new Map();
    ahead = 0;
    untrusted = new Set();
    for (const userId of [ANNA, OTTO, BEN]) {
      put(userId, 'm.room.member', userId, { membership: 'join' });
      enter(userId);
    }
  });

  function put(sender: string, type: string, key: string, content: JsonObject, at = Date.now()): void {
    const pdu = { type, sender, state_key: key, content, origin_server_ts: at };
    state.set(stateKey(type, key), { pdu } as unknown as StoredEvent);
  }
  /** @param now by the clock of the server */
  function enter(userId: string, now = Date.now()): void {
    const serverName = userId.split(':')[1] ?? '';
    const content = joinedContent({ deviceId: 'DESK', serverName, joinedAt: now, guest: false, now });
    put(userId, CALL_MEMBER, membershipKey(userId, 'DESK'), content, now);
  }
  const found = () =>
    [
      ...membershipsIn(
        state,
        { clockAhead: (server) => (server === 'hamburg.example' ? ahead : 0) },
        { isTrusted: (server) => !untrusted.has(server) },
      ),
    ].map(({ membership }) => membership);
  const people = (): string[] => found().map(({ userId }) => userId);

  it('count for people in the room, and not for who is invited, has left or was banned', () => {
    expect(people()).toEqual([ANNA, OTTO, BEN]);
    put(ANNA, 'm.room.member', OTTO, { membership: 'ban' });
    put(BEN, 'm.room.member', BEN, { membership: 'leave' });
    expect(people()).toEqual([ANNA]);
    put(ANNA, 'm.room.member', OTTO, { membership: 'invite' });
    expect(people()).toEqual([ANNA]);
  });

  it('do not count for people of a server that is not trusted', () => {
    untrusted.add('hamburg.example');
    expect(people()).toEqual([ANNA, BEN]);
  });

  it('do not count for people of a server that is shut out', () => {
    put(ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['hamburg.example'] });
    expect(people()).toEqual([ANNA, BEN]);
  });

  it('are read by the clock of their server, and told by ours', () => {
    for (const hours of [-10, 10]) {
      ahead = hours * HOUR;
      const now = Date.now();
      enter(OTTO, now + ahead);
      const [otto] = found().filter(({ userId }) => userId === OTTO);
      expect(otto?.joinedAt)
        .withContext(`${String(hours)} h`)
        .toBe(now);
      expect(otto?.expiresAt).toBe(now + MEMBERSHIP_EXPIRES_MS);
    }
  });

  it('end at their time, by the clock of their server', () => {
    ahead = 10 * HOUR;
    enter(OTTO, Date.now() + ahead - MEMBERSHIP_EXPIRES_MS - 1_000);
    expect(people()).toEqual([ANNA, BEN]);
  });
});
