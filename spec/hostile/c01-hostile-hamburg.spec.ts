/** An instance that keeps to no rule: whatever it does, nothing of it is heard, seen or obeyed in Lübeck. */
import type { JsonObject } from '../../federation/json.ts';
import { ADMISSION, CALL_MEMBER, SETTING } from '../../homeserver/base/names.ts';
import { joinedContent, membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { PeerRoom } from '../support/peer.ts';
import type { ConferencePeer } from './kit/conference-peer.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import type { SessionClient } from './kit/session-client.ts';

/** Long enough for whatever would be taken to be taken, in ms. */
const A_MOMENT = 300;

describe('Moderation without trust: a hostile Hamburg', () => {
  let place: MeetingPlace;
  let anna: Member;
  let bert: Member;
  /** Owns the meeting. */
  let annas: SessionClient;
  let berts: SessionClient;
  let hamburg: ConferencePeer;
  let room: PeerRoom;
  let roomId: string;
  /** Of Hamburg: takes part, and leads. */
  let mallory: string;
  let moritz: string;
  let number = 0;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start({}, 'luebeck.localhost');
    [anna, bert] = [await place.register('anna'), await place.register('bert')];
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());
  beforeEach(async () => {
    ({
      roomId,
      peer: hamburg,
      room,
    } = await place.withPeer(anna, 'mallory', { preset: 'public_chat' }, 'hamburg.localhost'));
    mallory = hamburg.peer.userId('mallory');
    moritz = hamburg.peer.userId('moritz');
    await bert.user.must('POST', path('join'), {});
    annas = await anna.session();
    berts = await bert.session();
    await annas.join(roomId);
    await berts.join(roomId);
    await berts.publish('microphone');
    await says([source('microphone', 'm1'), source('camera', 'c1')]);
    await shows('microphone', { paused: false });
  }, 30_000);
  afterEach(async () => {
    await Promise.all([annas.close(), berts.close()]);
    await hamburg.close();
  });

  const path = (about: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${about}`;
  const source = (name: string, id: string, more: JsonObject = {}): JsonObject => ({
    source: name,
    id,
    paused: false,
    ...more,
  });
  const luebeck = (): string => place.server.serverName;
  /** Hamburg says what its participant sends. */
  const says = (sources: JsonObject[], userId = mallory): Promise<unknown> =>
    hamburg.tell(luebeck(), roomId, { participants: [{ user_id: userId, device_id: 'DEVICE', sources }] });
  /** How Anna is shown somebody now; undefined for who is not in the conference. */
  const shown = (userId = mallory): unknown => {
    let person: unknown = annas.snapshot?.participants.find((one) => one.userId === userId);
    for (const { notification, data } of annas.told) {
      if (notification === 'participant.left' && String(at(data, 'participantId')).startsWith(`${userId}|`)) {
        person = undefined;
      }
      if (at(data, 'userId') !== userId) continue;
      if (notification === 'participant.joined' || notification === 'participant.changed') person = data;
    }
    return person;
  };
  const sent = (name: string, userId = mallory): unknown =>
    (at(shown(userId), 'sources') as JsonObject[] | undefined)?.find((one) => one['source'] === name);
  const shows = (name: string, state: object): Promise<unknown> =>
    eventually(
      async () => sent(name),
      (now) => JSON.stringify(now) === JSON.stringify({ source: name, ...state }),
      2_000,
    );
  const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, A_MOMENT));
  const rule = (name: string, content: object): Promise<unknown> =>
    anna.user.must('PUT', path(`state/${SETTING}${name}/`), content);
  const order = (more: JsonObject = {}): JsonObject => ({
    number: (number += 1),
    action: 'mute',
    by: mallory,
    participants: [{ user_id: bert.user.userId, device_id: bert.deviceId }],
    ...more,
  });
  const give = async (one: JsonObject): Promise<unknown> =>
    at(await hamburg.tell(luebeck(), roomId, { orders: [one] }), 'body', 'orders', String(one['number']));
  /** Bert is in the conference and can be heard, and nobody has done anything to him. */
  const untouched = async (): Promise<void> => {
    await moment();
    expect(sent('microphone', bert.user.userId)).toEqual({ source: 'microphone', paused: false });
    for (const name of ['moderation.done', 'conference.ended'] as const) expect(berts.heard(name)).toEqual([]);
  };
  /** Hamburg's answer to an event that it sends: a refusal, or one that Lübeck does not let into the room's state. */
  const writes = async (type: string, key: string, content: JsonObject, sender = mallory): Promise<void> => {
    await hamburg.say(luebeck(), { ...room }, { type, sender, state_key: key, content }).catch(() => undefined);
    await moment();
  };
  const state = async (type: string, key = ''): Promise<unknown> =>
    (await anna.user.ask('GET', path(`state/${type}/${encodeURIComponent(key)}`))).body;
  /** Somebody else of Hamburg comes into the room and says to be in the conference. */
  const comes = async (localpart: string): Promise<string> => {
    const other = await hamburg.peer.join(luebeck(), roomId, hamburg.peer.userId(localpart));
    await hamburg.enter(luebeck(), other, localpart).catch(() => undefined);
    await says([source('camera', 'x')], hamburg.peer.userId(localpart));
    await moment();
    return hamburg.peer.userId(localpart);
  };

  it('01 ignores that somebody is muted, and names the source anew', async () => {
    await annas.must('moderation.mute', { participantIds: [hamburg.participantId('mallory')] });
    await shows('microphone', { paused: true });
    for (const id of ['m1', 'm2', 'm3']) await says([source('microphone', id), source('camera', 'c1')]);
    await moment();
    expect(sent('microphone')).toEqual({ source: 'microphone', paused: true });
  });

  it('02 ignores that a camera is switched off', async () => {
    await annas.must('moderation.camera-off', { participantIds: [hamburg.participantId('mallory')] });
    await shows('camera', { paused: true });
    for (const id of ['c1', 'c2']) await says([source('microphone', 'm1'), source('camera', id)]);
    await moment();
    expect(sent('camera')).toEqual({ source: 'camera', paused: true });
  });

  it('03 ignores that a share is ended', async () => {
    await says([source('screen', 's1')]);
    await shows('screen', { paused: false });
    await annas.must('moderation.stop-share', { participantIds: [hamburg.participantId('mallory')] });
    await says([source('screen', 's2')]);
    await moment();
    expect(at(sent('screen'), 'paused')).not.toBeFalse();
  });

  it('04 ignores that somebody is removed: writes the membership again, and goes on to speak', async () => {
    await annas.must('moderation.remove', { participantIds: [hamburg.participantId('mallory')] });
    await eventually(
      async () => shown(),
      (now) => now === undefined,
      1_000,
    );
    await hamburg.enter(luebeck(), { ...room }, 'mallory').catch(() => undefined);
    await says([source('microphone', 'm9')]);
    await moment();
    expect(shown()).toBeUndefined();
    expect((await annas.join(roomId)).participants.map(({ userId }) => userId)).not.toContain(mallory);
  });

  it('05 ignores a ban, and lets the banned one in again', async () => {
    await annas.must('moderation.ban', { participantIds: [hamburg.participantId('mallory')] });
    await eventually(
      async () => shown(),
      (now) => now === undefined,
      1_000,
    );
    await expectAsync(hamburg.peer.join(luebeck(), roomId, mallory)).toBeRejected();
    await hamburg.enter(luebeck(), { ...room }, 'mallory').catch(() => undefined);
    await says([source('camera', 'c9')]);
    await moment();
    expect(shown()).toBeUndefined();
  });

  it('06 sends what the rules do not allow, until they do', async () => {
    await rule('microphone', { restricted: true, allow: [] });
    await shows('microphone', { paused: true, refused: true });
    await says([source('microphone', 'm2'), source('camera', 'c1')]);
    await moment();
    expect(sent('microphone')).toEqual({ source: 'microphone', paused: true, refused: true });
    expect(sent('camera')).toEqual({ source: 'camera', paused: false });
    await rule('microphone', { restricted: true, allow: [mallory] });
    await shows('microphone', { paused: false });
  });

  it('07 puts its people on the list of those who may, and lifts the rule', async () => {
    await rule('camera', { restricted: true, allow: [] });
    await shows('camera', { paused: true, refused: true });
    await writes(`${SETTING}camera`, '', { restricted: true, allow: [mallory] });
    await writes(`${SETTING}camera`, '', { restricted: false });
    expect(await state(`${SETTING}camera`)).toEqual({ restricted: true, allow: [] });
    expect(sent('camera')).toEqual({ source: 'camera', paused: true, refused: true });
  });

  it('08 sends people into a meeting that is locked', async () => {
    expect(shown(await comes('otto')))
      .withContext('before the lock')
      .toBeDefined();
    await rule('lock', { locked: true });
    expect(shown(await comes('olaf'))).toBeUndefined();
    expect(shown()).withContext('who was there stays').toBeDefined();
  });

  it('09 sends people past the waiting room', async () => {
    await rule('waiting', { for: 'everybody' });
    expect(shown(await comes('olaf'))).toBeUndefined();
  });

  it('10 admits its people itself', async () => {
    await rule('waiting', { for: 'everybody' });
    const olaf = hamburg.peer.userId('olaf');
    await writes(ADMISSION, `_${olaf}`, { admitted: true });
    expect(at(await state(ADMISSION, `_${olaf}`), 'errcode')).toBe('M_NOT_FOUND');
    expect(shown(await comes('olaf'))).toBeUndefined();
  });

  it('11 names others’ people among those who wait', async () => {
    await rule('waiting', { for: 'everybody' });
    const others = [bert.user.userId, '@carl:bremen.localhost', '@x'.padEnd(300, 'x')];
    for (const userId of others) {
      await hamburg.wait(luebeck(), roomId, {
        waiting: [{ user_id: userId, display_name: 'Carl', guest: false, since_ts: 1 }],
        count: 1,
      });
    }
    await moment();
    const listed = annas.heard('waiting.list').flatMap((data) => at(data, 'people') as JsonObject[]);
    expect(listed.filter((one) => others.includes(String(one['userId'])))).toEqual([]);
  });

  it('12 gives orders in the names of people of Lübeck', async () => {
    expect(await give(order({ by: anna.user.userId }))).toBe('refused');
    await untouched();
  });

  it('13 gives orders of who has no right to them', async () => {
    for (const action of ['mute', 'camera-off', 'stop-share', 'lower-hand', 'remove', 'ban', 'rename', 'wait', 'end']) {
      expect(await give(order({ action, for: 'everybody', display_name: 'X' })))
        .withContext(action)
        .toBe('refused');
    }
    await untouched();
  });

  it('14 orders what nobody can: to unmute, and to turn a camera on', async () => {
    for (const action of ['unmute', 'camera-on', 'resume', 'constructor', '__proto__']) {
      expect(await give(order({ action })))
        .withContext(action)
        .toBe('refused');
    }
    await untouched();
  });

  it('15 makes its people moderators and owners', async () => {
    const before = await state('m.room.power_levels');
    await writes('m.room.power_levels', '', { ...(before as JsonObject), users: { [mallory]: 100 } });
    expect(await state('m.room.power_levels')).toEqual(before);
    expect(at(shown(), 'role')).toBe('participant');
    expect(await give(order())).toBe('refused');
    await untouched();
  });

  it('16 gives orders in the name of a moderator whose demotion is on its way', async () => {
    const levels = (await state('m.room.power_levels')) as JsonObject & { users: JsonObject };
    await anna.user.must('PUT', path('state/m.room.power_levels/'), {
      ...levels,
      users: { ...levels.users, [mallory]: 50 },
    });
    await anna.user.must('PUT', path('state/m.room.power_levels/'), levels);
    expect(await give(order())).toBe('refused');
    await untouched();
  });

  it('17 repeats an order of before', async () => {
    await promote(moritz);
    const first = order({ by: moritz });
    expect(await give(first)).toBe('taken');
    await eventually(
      async () => berts.heard('moderation.done').length,
      (count) => count === 1,
    );
    await berts.must('media.resume', { source: 'microphone' });
    expect(await give(first)).toBe('repeated');
    await moment();
    expect(berts.heard('moderation.done').length).toBe(1);
    expect(sent('microphone', bert.user.userId)).toEqual({ source: 'microphone', paused: false });
  });

  it('18 speaks for others’ people: for those of Lübeck, and of a third organisation', async () => {
    await says([], bert.user.userId);
    await hamburg.tell(luebeck(), roomId, {
      participants: [
        { user_id: bert.user.userId, device_id: bert.deviceId, sources: [source('microphone', 'x', { paused: true })] },
        { user_id: '@carl:bremen.localhost', device_id: 'DEVICE', sources: [source('camera', 'x')] },
      ],
    });
    await untouched();
    expect(shown('@carl:bremen.localhost')).toBeUndefined();
  });

  it('19 writes memberships in the conference for others', async () => {
    const now = Date.now();
    for (const [userId, deviceId] of [
      [bert.user.userId, bert.deviceId],
      [bert.user.userId, 'OTHER'],
      ['@carl:bremen.localhost', 'DEVICE'],
    ] as const) {
      const content = joinedContent({ deviceId, serverName: hamburg.serverName, joinedAt: now, guest: false, now });
      await writes(CALL_MEMBER, membershipKey(userId, deviceId), content);
      await writes(CALL_MEMBER, membershipKey(userId, deviceId), {});
    }
    await untouched();
    const snapshot = await annas.join(roomId);
    expect(snapshot.participants.map(({ participantId }) => participantId).sort()).toEqual(
      [anna.participantId, bert.participantId, hamburg.participantId('mallory')].sort(),
    );
  });

  it('20 gives an order about 10,000 people', async () => {
    await promote(moritz);
    const participants = Array.from({ length: 10_000 }, (_, index) => ({
      user_id: `@p${String(index)}:x`,
      device_id: 'D',
    }));
    const answer = await hamburg.tell(luebeck(), roomId, { orders: [order({ by: moritz, participants })] });
    expect(at(answer, 'errcode')).toBe('M_BAD_JSON');
    await untouched();
  });

  it('21 removes and bans with an event that is forged, of another person, or of another room', async () => {
    await promote(moritz);
    const event = hamburg.peer.event(room, {
      type: 'm.room.member',
      sender: moritz,
      state_key: bert.user.userId,
      content: { membership: 'leave' },
    });
    const forged = { ...event, signatures: { [hamburg.serverName]: { [hamburg.peer.key.keyId]: 'A'.repeat(86) } } };
    for (const action of ['remove', 'ban', 'wait']) {
      for (const bad of [forged, { ...event, room_id: '!other' }, { ...event, state_key: anna.user.userId }, {}]) {
        expect(await give(order({ by: moritz, action, event: bad as JsonObject })))
          .withContext(action)
          .toBe('refused');
      }
    }
    await untouched();
  });

  it('22 opens a link and speaks after it was shut out', async () => {
    await annas.must('organisations.shut-out', { serverName: hamburg.serverName });
    await eventually(
      async () => shown(),
      (now) => now === undefined,
      1_000,
    );
    expect(await hamburg.askLink(luebeck(), 'PUT', roomId, 'c22', hamburg.half())).toEqual(
      jasmine.objectContaining({ status: 403 }),
    );
    expect(await says([source('microphone', 'm9')])).toEqual(jasmine.objectContaining({ status: 403 }));
    await hamburg.enter(luebeck(), { ...room }, 'mallory').catch(() => undefined);
    await moment();
    expect(shown()).toBeUndefined();
  });

  /** Somebody of Hamburg in the room leads the meeting from now on. */
  async function promote(userId: string): Promise<void> {
    await hamburg.peer.join(luebeck(), roomId, userId);
    const levels = (await state('m.room.power_levels')) as JsonObject & { users: JsonObject };
    await anna.user.must('PUT', path('state/m.room.power_levels/'), {
      ...levels,
      users: { ...levels.users, [userId]: 50 },
    });
  }
});
