/** The waiting room of meetings: two organisations with real homeservers, databases and media servers. */
import type { NotificationData } from '../../protocol/session.ts';
import type { WaitingPerson } from '../../protocol/modules/waiting.ts';
import { at, eventually, type TestFederation, type TestHomeserver, type TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../support/meetings.ts';

const MUST_WAIT = jasmine.objectContaining({ code: 'must-wait' });

describe('Waiting room', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let roomId: string;
  const clients: SessionClient[] = [];
  let count = 0;

  beforeAll(async () => {
    federation = await startMeetingServers(2);
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    anna = await hamburg.register('anna');
    bert = await luebeck.register('bert');
  }, 120_000);
  afterAll(() => federation.close());
  beforeEach(async () => {
    const made = await hansetag(hamburg, anna.token, 'POST', 'meetings', { title: 'Deich' });
    roomId = String(at(made.body, 'roomId'));
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  const open = async (server: TestHomeserver, who: Pick<TestUser, 'token'>): Promise<SessionClient> => {
    const client = await SessionClient.open(server, who);
    clients.push(client);
    return client;
  };
  const enter = async (server: TestHomeserver, who: TestUser): Promise<SessionClient> => {
    const client = await open(server, who);
    await client.ask('conference.join', { roomId });
    return client;
  };
  const rule = (whom: 'nobody' | 'guests' | 'everybody'): Promise<unknown> =>
    anna.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/state/org.hansetag.setting.waiting`, { for: whom });
  const lock = (locked: boolean): Promise<unknown> =>
    anna.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/state/org.hansetag.setting.lock`, { locked });
  const stateOf = async (member: string): Promise<unknown> => {
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(member)}`;
    return at((await anna.ask('GET', path)).body, 'membership');
  };
  const invite = async (userId: string): Promise<void> => {
    const path = `meetings/${encodeURIComponent(roomId)}/invitations`;
    const { body } = await hansetag(hamburg, anna.token, 'POST', path, { userIds: [userId] });
    expect(at(body, 'results', 0, 'ok')).toBeTrue();
  };
  const linkOf = async (): Promise<string> => {
    const path = `meetings/${encodeURIComponent(roomId)}/links`;
    const { body } = await hansetag(hamburg, anna.token, 'POST', path, {});
    return String(at(body, 'url')).split('/join/')[1] ?? '';
  };
  const guest = async (token: string, displayName = `Gast ${String((count += 1))}`): Promise<TestUser> => {
    const { body } = await hansetag(hamburg, undefined, 'POST', `links/${token}/join`, { displayName });
    const access = String(at(body, 'session', 'accessToken'));
    return {
      userId: String(at(body, 'session', 'userId')),
      token: access,
      ask: (method, path, content) => hamburg.ask(method, path, content, access),
      must: async (method, path, content) => (await hamburg.ask(method, path, content, access)).body,
    };
  };
  const shows = (moderator: SessionClient, ...ids: string[]): Promise<NotificationData<'waiting.list'>> =>
    moderator.hears('waiting.list', ({ people, count: all }) => {
      return all === ids.length && ids.every((id) => people.some(({ userId }) => userId === id));
    });
  const last = (moderator: SessionClient): WaitingPerson[] => {
    const lists = moderator.told.filter(({ name }) => name === 'waiting.list');
    return (lists.at(-1)?.data as NotificationData<'waiting.list'> | undefined)?.people ?? [];
  };

  it('keeps guests out of the room and tells moderators of them, until one is admitted and another is refused', async () => {
    await rule('guests');
    const token = await linkOf();
    const [kai, udo] = [await guest(token, 'Kai\u202e'), await guest(token, 'Udo')];
    const waits = await open(hamburg, kai);
    await expectAsync(waits.ask('conference.join', { roomId })).toBeRejectedWith(MUST_WAIT);
    expect(await waits.ask('conference.wait', { roomId })).toEqual({
      title: 'Deich',
      reason: 'waiting-room',
      told: false,
    });
    expect(await stateOf(kai.userId)).toBeUndefined();

    const moderator = await enter(hamburg, anna);
    await waits.hears('waiting.changed', ({ told }) => told);
    const [shown] = (await shows(moderator, kai.userId)).people;
    expect(shown).toEqual(jasmine.objectContaining({ displayName: 'Kai', guest: true, kind: 'guest' }));

    const other = await open(hamburg, udo);
    expect((await other.ask('conference.wait', { roomId })).told).toBeTrue();
    await shows(moderator, kai.userId, udo.userId);
    expect(last(moderator).map(({ userId }) => userId)).toEqual([kai.userId, udo.userId]);

    expect(await moderator.ask('waiting.admit', { userIds: [kai.userId, '@nobody:elsewhere.example'] })).toEqual({
      failed: ['@nobody:elsewhere.example'],
    });
    expect(await waits.hears('waiting.ended')).toEqual({ outcome: 'admitted' });
    expect(await stateOf(kai.userId)).toBe('join');
    await waits.ask('conference.join', { roomId });

    await moderator.ask('waiting.refuse', { userIds: [udo.userId] });
    expect(await other.hears('waiting.ended')).toEqual({ outcome: 'refused' });
    expect(await stateOf(udo.userId)).toBeUndefined();
    await expectAsync(other.ask('conference.wait', { roomId })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'forbidden' }),
    );
    await eventually(
      async () => last(moderator).length,
      (length) => length === 0,
    );
  });

  it('gives who may not admit neither the list nor the power', async () => {
    await rule('guests');
    const token = await linkOf();
    await invite(bert.userId);
    const moderator = await enter(hamburg, anna);
    const participant = await open(luebeck, bert);
    const { modules } = (await eventually(
      () => participant.ask('conference.join', { roomId }).catch(() => undefined),
      (joined) => joined !== undefined,
    )) as { modules: Record<string, unknown> };
    expect(modules['waiting']).toBeUndefined();
    const kai = await guest(token);
    const waits = await open(hamburg, kai);
    await waits.ask('conference.wait', { roomId });
    await shows(moderator, kai.userId);
    for (const ask of [
      participant.ask('waiting.admit', { userIds: [kai.userId] }),
      participant.ask('waiting.admit-all', {}),
      participant.ask('waiting.refuse', { userIds: [kai.userId] }),
    ]) {
      await expectAsync(ask).toBeRejectedWith(jasmine.objectContaining({ code: 'forbidden' }));
    }
    await expectAsync(waits.ask('waiting.admit', { userIds: [kai.userId] })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'not-in-conference' }),
    );
    expect(participant.told.some(({ name }) => name === 'waiting.list')).toBeFalse();
  });

  it('lets everybody in when it is switched off, those who knock by the service user of the host', async () => {
    await rule('everybody');
    const moderator = await enter(hamburg, anna);
    const kai = await guest(await linkOf());
    const carla = await hamburg.register(`carla-${String((count += 1))}`);
    const knut = await hamburg.register(`knut-${String((count += 1))}`);
    await invite(carla.userId);
    await knut.must('POST', `client/v3/knock/${encodeURIComponent(roomId)}`, {});
    const sessions = [await open(hamburg, kai), await open(hamburg, carla)];
    for (const session of sessions) await session.ask('conference.wait', { roomId });
    await shows(moderator, kai.userId, carla.userId, knut.userId);
    expect(new Set(last(moderator).map(({ kind }) => kind))).toEqual(new Set(['guest', 'invited', 'knock'] as const));
    expect(await stateOf(carla.userId)).toBe('invite');
    await rule('nobody');
    for (const session of sessions) expect(await session.hears('waiting.ended')).toEqual({ outcome: 'admitted' });
    for (const { userId } of [kai, carla, knut]) {
      await eventually(
        () => stateOf(userId),
        (membership) => membership === 'join',
      );
    }
  });

  it('keeps who is in the conference when it begins, and shows members who have no place as such', async () => {
    const carla = await hamburg.register(`carla-${String((count += 1))}`);
    const dora = await hamburg.register(`dora-${String((count += 1))}`);
    for (const { userId } of [carla, dora]) await invite(userId);
    const moderator = await enter(hamburg, anna);
    const inside = await enter(hamburg, carla);
    await rule('everybody');
    // By a stock client: reads the chat, and has no place.
    await dora.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    const waits = await open(hamburg, dora);
    await expectAsync(waits.ask('conference.join', { roomId })).toBeRejectedWith(MUST_WAIT);
    await waits.ask('conference.wait', { roomId });
    await shows(moderator, dora.userId);
    expect(last(moderator)[0]?.kind).toBe('member');
    expect(inside.told.some(({ name }) => name === 'conference.ended')).toBeFalse();
    await moderator.ask('waiting.admit-all', {});
    expect(await waits.hears('waiting.ended')).toEqual({ outcome: 'admitted' });
    await waits.ask('conference.join', { roomId });
  });

  it('has who was sent back wait out of the room, and come back when admitted', async () => {
    const carla = await hamburg.register(`carla-${String((count += 1))}`);
    await invite(carla.userId);
    const moderator = await enter(hamburg, anna);
    const inside = await open(hamburg, carla);
    const { me } = await inside.ask('conference.join', { roomId });
    await moderator.ask('moderation.send-to-waiting', { participantIds: [me] });
    expect((await inside.hears('conference.ended')).reason).toBe('waiting');
    await eventually(
      () => stateOf(carla.userId),
      (membership) => membership === 'leave',
    );
    expect((await inside.ask('conference.wait', { roomId })).reason).toBe('waiting-room');
    await shows(moderator, carla.userId);
    await moderator.ask('waiting.admit', { userIds: [carla.userId] });
    expect(await inside.hears('waiting.ended')).toEqual({ outcome: 'admitted' });
    await inside.ask('conference.join', { roomId });
  });

  it('holds nobody whom a moderator removed: they do not come back by having been admitted before', async () => {
    await rule('guests');
    const moderator = await enter(hamburg, anna);
    const kai = await guest(await linkOf());
    const waits = await open(hamburg, kai);
    await waits.ask('conference.wait', { roomId });
    await shows(moderator, kai.userId);
    await moderator.ask('waiting.admit', { userIds: [kai.userId] });
    await waits.hears('waiting.ended');
    const { me } = await waits.ask('conference.join', { roomId });
    await moderator.ask('moderation.remove', { participantIds: [me] });
    await waits.hears('conference.ended');
    await expectAsync(waits.ask('conference.wait', { roomId })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'forbidden' }),
    );
    expect(await stateOf(kai.userId)).toBe('leave');
  });

  it('keeps everybody out of a locked meeting but whom a moderator admits while it is locked', async () => {
    const carla = await hamburg.register(`carla-${String((count += 1))}`);
    await invite(carla.userId);
    const moderator = await enter(hamburg, anna);
    await lock(true);
    const waits = await open(hamburg, carla);
    await expectAsync(waits.ask('conference.join', { roomId })).toBeRejectedWith(MUST_WAIT);
    expect((await waits.ask('conference.wait', { roomId })).reason).toBe('locked');
    await shows(moderator, carla.userId);
    await moderator.ask('waiting.admit', { userIds: [carla.userId] });
    await waits.hears('waiting.ended', ({ outcome }) => outcome === 'admitted');
    await waits.ask('conference.join', { roomId });
    await waits.ask('conference.leave', {});
    await lock(false);
    await lock(true);
    // Admission in spite of one lock is none in spite of the next.
    await expectAsync(waits.ask('conference.join', { roomId })).toBeRejectedWith(MUST_WAIT);
  });

  it('ends for who came by a link that is ended with its guests', async () => {
    await rule('guests');
    const waits = await open(hamburg, await guest(await linkOf()));
    await waits.ask('conference.wait', { roomId });
    const path = `meetings/${encodeURIComponent(roomId)}/links`;
    const { body } = await hansetag(hamburg, anna.token, 'GET', path);
    await hansetag(hamburg, anna.token, 'DELETE', `${path}/${String(at(body, 'links', 0, 'linkId'))}?guests=remove`);
    expect(await waits.hears('waiting.ended')).toEqual({ outcome: 'ended' });
  });

  it('outlives a reload and a restart of the homeserver, in the old place, and ends with the session', async () => {
    await rule('guests');
    const token = await linkOf();
    const [first, second] = [await guest(token), await guest(token)];
    let waits = await open(hamburg, first);
    await waits.ask('conference.wait', { roomId });
    await (await open(hamburg, second)).ask('conference.wait', { roomId });
    // A reload: another session, and the old one is dropped.
    const reloaded = await open(hamburg, first);
    await reloaded.ask('conference.wait', { roomId });
    waits.close();
    let moderator = await enter(hamburg, anna);
    await shows(moderator, first.userId, second.userId);
    expect(last(moderator)[0]?.userId).toBe(first.userId);
    await hamburg.stop();
    await hamburg.start();
    const again = await open(hamburg, second);
    await again.ask('conference.wait', { roomId });
    waits = await open(hamburg, first);
    const other = await open(hamburg, first);
    await waits.ask('conference.wait', { roomId });
    await other.ask('conference.wait', { roomId });
    moderator = await enter(hamburg, anna);
    await shows(moderator, first.userId, second.userId);
    expect(last(moderator).map(({ userId }) => userId)).toEqual([first.userId, second.userId]);
    again.close();
    await eventually(
      async () => last(moderator).length,
      (length) => length === 1,
    );
    // Both clients of one person are told.
    await moderator.ask('waiting.admit', { userIds: [first.userId] });
    for (const client of [waits, other]) await client.hears('waiting.ended', ({ outcome }) => outcome === 'admitted');
  });

  it('of many guests at one link shows 50, counts all, and admits all', async () => {
    await rule('guests');
    const token = await linkOf();
    const moderator = await enter(hamburg, anna);
    const sessions: SessionClient[] = [];
    for (let index = 0; index < 60; index += 1) {
      const session = await open(hamburg, await guest(token));
      sessions.push(session);
      await session.ask('conference.wait', { roomId });
    }
    const list = await moderator.hears('waiting.list', ({ count: all }) => all === 60);
    expect(list.people.length).toBe(50);
    await moderator.ask('waiting.admit-all', {});
    for (const session of sessions)
      await session.hears('waiting.ended', ({ outcome }) => outcome === 'admitted', 30_000);
  });
});
