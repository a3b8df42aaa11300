import type { JsonObject } from '../../federation/json.ts';
import type { Pdu } from '../../federation/event.ts';
import {
  isOwnMembership,
  joinedContent,
  MEMBERSHIP_EXPIRES_MS,
  membershipKey,
  ownerOfKey,
  participantIdOf,
  readMembership,
  splitParticipantId,
} from '../../homeserver/meetings/conference/membership.ts';
import { CALL_MEMBER, GUEST_FIELD } from '../../homeserver/base/names.ts';

const NOW = 1_790_000_000_000;
const bert = '@bert:luebeck.example';

function event(changes: Partial<Pdu> = {}): Pdu {
  return {
    type: CALL_MEMBER,
    sender: bert,
    room_id: '!room',
    state_key: membershipKey(bert, 'LAPTOP'),
    content: joinedContent({
      deviceId: 'LAPTOP',
      serverName: 'luebeck.example',
      joinedAt: NOW,
      guest: false,
      now: NOW,
    }),
    auth_events: [],
    prev_events: [],
    depth: 1,
    origin_server_ts: NOW,
    hashes: { sha256: '' },
    signatures: {},
    ...changes,
  };
}

describe('the membership of a device in a conference', () => {
  it('is read as it was written', () => {
    expect(readMembership(event(), NOW)).toEqual({
      participantId: `${bert}|LAPTOP`,
      userId: bert,
      deviceId: 'LAPTOP',
      joinedAt: NOW,
      expiresAt: NOW + MEMBERSHIP_EXPIRES_MS,
      guest: false,
    });
  });

  it('has ended when the content is empty', () => {
    expect(readMembership(event({ content: {} }), NOW)).toBeUndefined();
  });

  it('has ended when it has expired', () => {
    expect(readMembership(event(), NOW + MEMBERSHIP_EXPIRES_MS)).toBeUndefined();
  });

  it('does not count when somebody wrote it for another user', () => {
    expect(readMembership(event({ sender: '@mallory:hamburg.example' }), NOW)).toBeUndefined();
  });

  it('does not count when the device is not that of the state key', () => {
    expect(readMembership(event({ state_key: membershipKey(bert, 'PHONE') }), NOW)).toBeUndefined();
  });

  it('says when the device joined also after it was renewed', () => {
    const now = NOW + 3 * 60 * 60 * 1000;
    const options = { deviceId: 'LAPTOP', serverName: 'luebeck.example', joinedAt: NOW, guest: false, now };
    const renewed = readMembership(event({ content: joinedContent(options), origin_server_ts: now }), now);
    expect(renewed?.joinedAt).toBe(NOW);
    expect(renewed?.expiresAt).toBe(now + MEMBERSHIP_EXPIRES_MS);
  });

  it('tells whose it is by its key, whatever the ids contain', () => {
    for (const [userId, deviceId] of [
      [bert, 'LAPTOP'],
      ['@under_score:luebeck.example:8448', 'A_B_m.call'],
      ['@a:[::1]:8448', 'D'],
    ] as const) {
      expect(ownerOfKey(membershipKey(userId, deviceId))).toEqual({ userId, deviceId });
    }
    for (const key of ['', '@bert:luebeck.example', '_bert_LAPTOP_m.call', '_@bert:luebeck.example__m.call']) {
      expect(ownerOfKey(key)).withContext(key).toBeUndefined();
    }
  });

  it('can not be made to last by a creation time in the future', () => {
    const content = { ...event().content, created_ts: NOW + 10 * MEMBERSHIP_EXPIRES_MS };
    expect(readMembership(event({ content }), NOW + MEMBERSHIP_EXPIRES_MS)).toBeUndefined();
  });

  it('is nothing when the content is of another shape', () => {
    const shapes: JsonObject[] = [{ application: 'm.call' }, { application: 'm.other', device_id: 'LAPTOP' }];
    for (const content of shapes) {
      expect(readMembership(event({ content }), NOW)).toBeUndefined();
    }
  });

  it('ends at the moment that it says, four hours after it began where it says none', () => {
    const { expires: _, ...content } = event().content;
    const short = event({ content: { ...content, expires: 1_000 } });
    expect(readMembership(short, NOW + 999)?.expiresAt).toBe(NOW + 1_000);
    expect(readMembership(short, NOW + 1_000)).toBeUndefined();
    expect(readMembership(event({ content }), NOW)?.expiresAt).toBe(NOW + MEMBERSHIP_EXPIRES_MS);
  });

  it('lasts a week at most, however often it is renewed, and is refused when it says more', () => {
    const week = 7 * 24 * 60 * 60 * 1000;
    const now = NOW + week - 1_000;
    const options = { deviceId: 'LAPTOP', serverName: 'luebeck.example', joinedAt: NOW, guest: false, now };
    const renewed = event({ content: joinedContent(options), origin_server_ts: now });
    expect(readMembership(renewed, now)?.expiresAt).toBe(NOW + week);
    for (const expires of [week + 1, -1, 1.5, Infinity, '1000', null]) {
      const content = { ...event().content, expires } as JsonObject;
      expect(readMembership(event({ content }), NOW))
        .withContext(String(expires))
        .toBeUndefined();
    }
  });

  it('begins when its server has signed it, where its own time is later, missing or no time', () => {
    for (const created_ts of [NOW + 1, undefined, -1, 'noon', 1e300, null]) {
      const content = { ...event().content, created_ts } as JsonObject;
      expect(readMembership(event({ content }), NOW)?.joinedAt)
        .withContext(String(created_ts))
        .toBe(NOW);
    }
    const earlier = { ...event().content, created_ts: NOW - 1_000 };
    expect(readMembership(event({ content: earlier }), NOW)?.joinedAt).toBe(NOW - 1_000);
  });

  it('is nothing at a time that no calendar can show', () => {
    const content = { ...event().content, created_ts: undefined } as unknown as JsonObject;
    for (const origin_server_ts of [-1, 1e15]) {
      expect(readMembership(event({ content, origin_server_ts }), NOW)).toBeUndefined();
    }
  });

  it('says of a guest that it is one, and of nobody else', () => {
    const options = { deviceId: 'LAPTOP', serverName: 'luebeck.example', joinedAt: NOW, now: NOW };
    expect(readMembership(event({ content: joinedContent({ ...options, guest: true }) }), NOW)?.guest).toBeTrue();
    expect(GUEST_FIELD in joinedContent({ ...options, guest: false })).toBeFalse();
    const odd = { ...event().content, [GUEST_FIELD]: 'yes' };
    expect(readMembership(event({ content: odd }), NOW))
      .withContext('malformed')
      .toBeUndefined();
  });

  it('names a device with a name of one to 255 characters', () => {
    for (const [deviceId, counts] of [
      ['', false],
      ['D', true],
      ['D'.repeat(255), true],
      ['D'.repeat(256), false],
    ] as const) {
      const options = { deviceId, serverName: 'luebeck.example', joinedAt: NOW, guest: false, now: NOW };
      const read = readMembership(
        event({ state_key: membershipKey(bert, deviceId), content: joinedContent(options) }),
        NOW,
      );
      expect(read !== undefined)
        .withContext(String(deviceId.length))
        .toBe(counts);
    }
  });

  it('is of no other type of event, whatever it contains', () => {
    expect(readMembership(event({ type: 'm.room.member' }), NOW)).toBeUndefined();
  });

  it('is known as one that a homeserver such as ours has written by its transport', () => {
    expect(isOwnMembership(event().content)).toBeTrue();
    const others: JsonObject[] = [
      {},
      { focus_active: 'x' },
      { focus_active: { type: 'livekit' } },
      { focus_active: [] },
    ];
    for (const content of others) expect(isOwnMembership(content)).toBeFalse();
  });

  it('has an id that says whose it is, whatever stands in names', () => {
    for (const [userId, deviceId, server] of [
      [bert, 'LAPTOP', 'luebeck.example'],
      ['@a|b:luebeck.example:8448', 'C|D:E', 'luebeck.example:8448'],
      ['@a:[::1]:8448', '|', '[::1]:8448'],
    ] as const) {
      expect(splitParticipantId(participantIdOf(userId, deviceId))).toEqual({ userId, deviceId, server });
    }
  });
});
