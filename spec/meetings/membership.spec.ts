import type { JsonObject } from '../../federation/json.ts';
import type { Pdu } from '../../federation/event.ts';
import {
  joinedContent,
  MEMBERSHIP_EXPIRES_MS,
  membershipKey,
  ownerOfKey,
  readMembership,
} from '../../homeserver/meetings/conference/membership.ts';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';

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
});
