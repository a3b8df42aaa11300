/** A26: orders of another organisation are taken from whoever has the right, once, and from nobody else. */
import type { JsonObject } from '../../federation/json.ts';
import { eventId } from '../../federation/event.ts';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { PeerRoom } from '../support/peer.ts';
import { ConferencePeer } from './kit/conference-peer.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import type { SessionClient } from './kit/session-client.ts';

describe('A26: orders of another organisation', () => {
  let place: MeetingPlace;
  let anna: Member;
  let bert: Member;
  /** Owns the meeting. */
  let annaSession: SessionClient;
  let bertSession: SessionClient;
  let peer: ConferencePeer;
  let room: PeerRoom;
  let roomId: string;
  let moderator: string;
  let number = 0;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    [anna, bert] = [await place.register('anna'), await place.register('bert')];
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());
  beforeEach(async () => {
    peer = await ConferencePeer.start(place.federation);
    moderator = peer.peer.userId('mallory');
    roomId = await place.meeting(anna, [bert], {
      preset: 'public_chat',
      power_level_content_override: { users: { [moderator]: 50 }, events: { [CALL_MEMBER]: 0 } },
    });
    room = await peer.peer.join(place.server.serverName, roomId, moderator);
    await peer.enter(place.server.serverName, room, 'mallory');
    await openSessions();
  }, 30_000);
  afterEach(async () => {
    await Promise.all([annaSession.close(), bertSession.close()]);
    await peer.close();
  });

  async function openSessions(): Promise<void> {
    annaSession = await anna.session();
    bertSession = await bert.session();
    await annaSession.join(roomId);
    await bertSession.join(roomId);
    await bertSession.publish('microphone');
  }

  const order = (target: Member, more: JsonObject = {}): JsonObject => ({
    number: (number += 1),
    action: 'mute',
    by: moderator,
    participants: [{ user_id: target.user.userId, device_id: target.deviceId }],
    ...more,
  });
  /** What became of orders that the peer gives, in their order. */
  async function give(...orders: JsonObject[]): Promise<unknown[]> {
    const answer = await peer.tell(place.server.serverName, roomId, { orders });
    return orders.map((one) => at(answer, 'body', 'orders', String(one['number'])));
  }
  const muted = (): number => bertSession.heard('moderation.done').length;
  const kick = (target: Member, more: Partial<PeerRoom> = {}): JsonObject =>
    peer.peer.event(
      { ...room, ...more },
      {
        type: 'm.room.member',
        sender: moderator,
        state_key: target.user.userId,
        content: { membership: 'leave' },
      },
    );
  /** One that follows an event that nobody has. */
  const unplaced = (target: Member): JsonObject => kick(target, { last: `$${'b'.repeat(43)}`, depth: room.depth + 9 });

  it('of its moderators are carried out while the room lacks history and a transaction is under way', async () => {
    const answers = peer.peer.answer;
    let asked = false;
    peer.peer.answer = (path, body, method) => {
      if (!/get_missing_events|\/state_ids\/|\/event\/|\/backfill\//.test(path)) return answers(path, body, method);
      asked = true;
      return new Promise(() => undefined);
    };
    let handled = false;
    const sent = peer.peer.send(place.server.serverName, [unplaced(anna)]).then(() => {
      handled = true;
    });
    await eventually(async () => asked, Boolean);
    expect(await give(order(bert))).toEqual(['taken']);
    await eventually(
      async () => muted(),
      (count) => count === 1,
    );
    expect(await give(order(bert, { action: 'remove', event: unplaced(bert) }))).toEqual(['taken']);
    await eventually(
      async () => bertSession.heard('conference.ended').length,
      (count) => count === 1,
    );
    expect(handled).toBeFalse();
    // The room does not know of it yet, and nobody comes back all the same: also after a restart.
    const back = async (): Promise<unknown> => {
      const outcome = await bertSession.ask('conference.join', { roomId });
      return 'error' in outcome ? outcome.error.code : outcome;
    };
    expect(await back()).toBe('forbidden');
    await sent;
    await place.server.stop();
    await place.server.start();
    bertSession = await bert.session();
    expect(await back()).toBe('forbidden');
  }, 90_000);

  it('are carried out once, however often and late they come, also after a restart', async () => {
    const first = order(bert);
    expect(await give(first)).toEqual(['taken']);
    expect(await give(first, first)).toEqual(['repeated', 'repeated']);
    await eventually(
      async () => muted(),
      (count) => count === 1,
    );
    await bertSession.must('media.resume', { source: 'microphone' });
    expect(await give(first)).toEqual(['repeated']);
    await place.server.stop();
    await place.server.start();
    await openSessions();
    const before = Number(first['number']);
    expect(await give(first, order(bert, { number: before - 1 || 1 }))).toEqual(['repeated', 'repeated']);
    number = before;
    expect(await give(order(bert))).toEqual(['taken']);
    await eventually(
      async () => muted(),
      (count) => count === 1,
    );
  }, 60_000);

  it('are refused of whoever has no right, of people of other organisations, and of unknown kinds', async () => {
    const other = await peer.peer.join(place.server.serverName, roomId, peer.peer.userId('nobody'));
    expect(other.roomId).toBe(roomId);
    expect(await give(order(bert, { by: peer.peer.userId('nobody') }))).toEqual(['refused']);
    expect(await give(order(bert, { by: peer.peer.userId('absent') }))).toEqual(['refused']);
    expect(await give(order(bert, { by: anna.user.userId }))).toEqual(['refused']);
    expect(await give(order(bert, { action: 'unmute' }))).toEqual(['refused']);
    expect(await give(order(bert, { action: 'toString' }))).toEqual(['refused']);
    expect(muted()).toBe(0);
    await anna.user.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels`, {
      users: {},
      events: { [CALL_MEMBER]: 0 },
    });
    expect(await give(order(bert))).toEqual(['refused']);
    expect(muted()).toBe(0);
  }, 30_000);

  it('to remove somebody are refused without the signed event of just that removal', async () => {
    const remove = (event?: JsonObject): JsonObject => order(bert, { action: 'remove', ...(event ? { event } : {}) });
    const good = kick(bert);
    const forged = { ...good, signatures: { [peer.serverName]: { [peer.peer.key.keyId]: 'A'.repeat(86) } } };
    const invitation = peer.peer.event(room, {
      type: 'm.room.member',
      sender: moderator,
      state_key: bert.user.userId,
      content: { membership: 'invite' },
    });
    for (const event of [undefined, {}, forged, invitation, kick(anna), { ...good, room_id: '!other' }]) {
      expect(await give(remove(event))).toEqual(['refused']);
    }
    // The owner has more power.
    expect(await give(order(anna, { action: 'remove', event: kick(anna) }))).toEqual(['refused']);
    expect(bertSession.heard('conference.ended')).toEqual([]);
    expect(annaSession.heard('conference.ended')).toEqual([]);
    expect(eventId(kick(bert) as never, room.version)).toMatch(/^\$/);
  }, 30_000);

  it('are refused when they are too many, and states go on meanwhile', async () => {
    const outcomes: unknown[] = [];
    for (let message = 0; message < 8; message += 1) {
      outcomes.push(...(await give(...Array.from({ length: 20 }, () => order(bert)))));
    }
    expect(outcomes.filter((outcome) => outcome === 'taken').length).toBeLessThanOrEqual(110);
    expect(outcomes.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(40);
    await peer.tell(place.server.serverName, roomId, {
      participants: [
        { user_id: moderator, device_id: 'DEVICE', sources: [{ source: 'camera', id: 'c', paused: false }] },
      ],
    });
    await eventually(
      async () => annaSession.heard('participant.changed').filter((data) => at(data, 'userId') === moderator).length,
      (count) => count > 0,
    );
  }, 30_000);

  it('are refused whole when they are malformed', async () => {
    const bad: unknown[] = [
      { number: 1 },
      { ...order(bert), number: 0 },
      { ...order(bert), number: 1.5 },
      { ...order(bert), participants: [] },
      { ...order(bert), participants: Array.from({ length: 501 }, () => ({ user_id: '@a:b', device_id: 'c' })) },
      { ...order(bert), by: 7 },
      { ...order(bert), event: [] },
    ];
    for (const one of bad) {
      const answer = await peer.tell(place.server.serverName, roomId, { orders: [one as JsonObject] });
      expect(at(answer, 'errcode')).toBe('M_BAD_JSON');
    }
    const many = await peer.tell(place.server.serverName, roomId, {
      orders: Array.from({ length: 21 }, () => order(bert)),
    });
    expect(at(many, 'errcode')).toBe('M_BAD_JSON');
    expect(muted()).toBe(0);
  });

  it('that we give cross while its room is blocked, with numbers that rise over a restart', async () => {
    peer.onTransaction = () => undefined;
    await anna.user.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, {
      msgtype: 'm.text',
      body: 'This is not taken for a long time.',
    });
    await eventually(
      async () => peer.peer.asked.filter((line) => line.includes('/send/')).length,
      (count) => count > 0,
    );
    const given: Record<string, unknown>[] = [];
    peer.onLive = (message) => {
      const orders = (message['orders'] ?? []) as JsonObject[];
      given.push(...orders);
      return { orders: Object.fromEntries(orders.map((one) => [String(one['number']), 'taken'])) };
    };
    const mute = { participantIds: [peer.participantId('mallory')] };
    expect(await annaSession.must('moderation.mute', mute)).toEqual({ unreached: [] });
    expect(given.length).toBe(1);
    const [first] = given;
    expect([first?.['action'], first?.['by']].map(String)).toEqual(['mute', anna.user.userId]);
    expect(JSON.stringify(first?.['participants'])).toBe(JSON.stringify([{ device_id: 'DEVICE', user_id: moderator }]));
    await place.server.stop();
    await place.server.start();
    await openSessions();
    await annaSession.must('moderation.mute', mute);
    expect(Number(given[1]?.['number'])).toBeGreaterThan(Number(first?.['number']));

    await annaSession.must('moderation.remove', { participantIds: [peer.participantId('mallory')] });
    const removal = given[2];
    expect(removal?.['action']).toBe('remove');
    expect(at(removal, 'event', 'type')).toBe('m.room.member');
    expect(at(removal, 'event', 'state_key')).toBe(moderator);
    expect(at(removal, 'event', 'signatures', place.server.serverName)).toBeDefined();
  }, 60_000);

  it('that we give have not reached it when it does not answer or is of an older build', async () => {
    const mute = { participantIds: [peer.participantId('mallory')] };
    peer.onLive = () => undefined;
    expect(await annaSession.must('moderation.mute', mute)).toEqual({ unreached: [peer.serverName] });
    peer.onLive = () => ({ errcode: 'M_UNRECOGNIZED' });
    expect(await annaSession.must('moderation.mute', mute)).toEqual({ unreached: [peer.serverName] });
  }, 30_000);

  it('hold at our side until it says that the microphone is paused', async () => {
    const said = (paused: boolean, id: string): Promise<unknown> =>
      peer.tell(place.server.serverName, roomId, {
        participants: [{ user_id: moderator, device_id: 'DEVICE', sources: [{ source: 'microphone', id, paused }] }],
      });
    const shown = (): unknown =>
      annaSession
        .heard('participant.changed')
        .filter((data) => at(data, 'userId') === moderator)
        .map((data) => at(data, 'sources', 0, 'paused'))
        .at(-1);
    await said(false, 'one');
    await eventually(
      async () => shown(),
      (paused) => paused === false,
    );
    await annaSession.must('moderation.mute', { participantIds: [peer.participantId('mallory')] });
    await eventually(
      async () => shown(),
      (paused) => paused === true,
    );
    // Published under another name, and never paused.
    await said(false, 'two');
    await said(false, 'three');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(shown()).toBeTrue();
    await said(true, 'three');
    await said(false, 'three');
    await eventually(
      async () => shown(),
      (paused) => paused === false,
    );
  }, 30_000);
});
