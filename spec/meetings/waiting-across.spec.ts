/** Waiting across two organisations that are real homeservers; the meetings are Hamburg's. */
import type { NotificationData } from '../../protocol/session.ts';
import { at, eventually, type TestFederation, type TestHomeserver, type TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../support/meetings.ts';

const MUST_WAIT = jasmine.objectContaining({ code: 'must-wait' });

describe('Waiting room, across organisations', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let anna: TestUser;
  let roomId: string;
  const clients: SessionClient[] = [];
  let count = 0;

  beforeAll(async () => {
    federation = await startMeetingServers(2);
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    anna = await hamburg.register('anna');
  }, 120_000);
  afterAll(() => federation.close());
  beforeEach(async () => {
    const made = await hansetag(hamburg, anna.token, 'POST', 'meetings', { title: 'Deich' });
    roomId = String(at(made.body, 'roomId'));
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  const somebody = (): Promise<TestUser> => luebeck.register(`otto-${String((count += 1))}`);
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
  const path = (suffix: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${suffix}`;
  const rule = (whom: 'nobody' | 'guests' | 'everybody'): Promise<unknown> =>
    anna.must('PUT', path('state/org.hansetag.setting.waiting'), { for: whom });
  /** By the state that Hamburg has. */
  const becomes = (userId: string, wanted: string): Promise<unknown> =>
    eventually(
      async () =>
        at((await anna.ask('GET', path(`state/m.room.member/${encodeURIComponent(userId)}`))).body, 'membership'),
      (membership) => membership === wanted,
    );
  const invite = async (userId: string): Promise<void> => {
    await anna.must('POST', path('invite'), { user_id: userId });
  };
  const answer = (who: TestUser): Promise<{ status: number; body: unknown }> =>
    hansetag(luebeck, who.token, 'POST', `meetings/${encodeURIComponent(roomId)}/answer`, { answer: 'accept' });
  const shows = (moderator: SessionClient, ...ids: string[]): Promise<NotificationData<'waiting.list'>> =>
    moderator.hears(
      'waiting.list',
      ({ people, count: all }) => all === ids.length && ids.every((id) => people.some(({ userId }) => userId === id)),
      20_000,
    );
  const guestOf = async (server: TestHomeserver, maker: TestUser): Promise<TestUser> => {
    const links = `meetings/${encodeURIComponent(roomId)}/links`;
    const made = await hansetag(server, maker.token, 'POST', links, {});
    const token = String(at(made.body, 'url')).split('/join/')[1] ?? '';
    const { body } = await hansetag(server, undefined, 'POST', `links/${token}/join`, { displayName: 'Kai' });
    expect(at(body, 'waiting')).toBeTrue();
    const access = String(at(body, 'session', 'accessToken'));
    return {
      userId: String(at(body, 'session', 'userId')),
      token: access,
      ask: (method, to, content) => server.ask(method, to, content, access),
      must: async (method, to, content) => (await server.ask(method, to, content, access)).body,
    };
  };

  it('stores the answer of who accepts where everybody waits, and joins when a moderator admits them', async () => {
    await rule('everybody');
    const otto = await somebody();
    await invite(otto.userId);
    expect((await answer(otto)).body).toEqual({ waiting: true });
    await becomes(otto.userId, 'invite');
    const waits = await open(luebeck, otto);
    await expectAsync(waits.ask('conference.join', { roomId })).toBeRejectedWith(MUST_WAIT);
    const moderator = await enter(hamburg, anna);
    expect((await waits.ask('conference.wait', { roomId })).title).toBe('Deich');
    const [shown] = (await shows(moderator, otto.userId)).people;
    expect(shown).toEqual(
      jasmine.objectContaining({ kind: 'invited', organisation: luebeck.serverName, guest: false }),
    );
    await waits.hears('waiting.changed', ({ told }) => told, 20_000);
    await moderator.ask('waiting.admit', { userIds: [otto.userId] });
    expect(await waits.hears('waiting.ended', () => true, 20_000)).toEqual({ outcome: 'admitted' });
    await becomes(otto.userId, 'join');
    await waits.ask('conference.join', { roomId });
    await moderator.hears('participant.joined', ({ userId }) => userId === otto.userId);
  });

  it('ends for whoever is refused, and lets those in who wait when it is switched off', async () => {
    await rule('everybody');
    const [otto, emil] = [await somebody(), await somebody()];
    await invite(otto.userId);
    await invite(emil.userId);
    const moderator = await enter(hamburg, anna);
    const [refused, waits] = [await open(luebeck, otto), await open(luebeck, emil)];
    await refused.ask('conference.wait', { roomId });
    await waits.ask('conference.wait', { roomId });
    await shows(moderator, otto.userId, emil.userId);
    await moderator.ask('waiting.refuse', { userIds: [otto.userId] });
    expect(await refused.hears('waiting.ended', () => true, 20_000)).toEqual({ outcome: 'refused' });
    await rule('nobody');
    expect(await waits.hears('waiting.ended', () => true, 20_000)).toEqual({ outcome: 'admitted' });
    await waits.ask('conference.join', { roomId });
  });

  it('shows moderators who knocks with any Matrix client, takes them in when admitted and kicks them when refused', async () => {
    const moderator = await enter(hamburg, anna);
    const [otto, emil] = [await somebody(), await somebody()];
    const via = `client/v3/knock/${encodeURIComponent(roomId)}?via=${encodeURIComponent(hamburg.serverName)}`;
    for (const who of [otto, emil]) await who.must('POST', via, {});
    const { people } = await shows(moderator, otto.userId, emil.userId);
    expect(people.map(({ kind }) => kind)).toEqual(['knock', 'knock']);
    expect((await moderator.ask('waiting.admit', { userIds: [otto.userId] })).failed).toEqual([]);
    await becomes(otto.userId, 'join');
    expect((await moderator.ask('waiting.refuse', { userIds: [emil.userId] })).failed).toEqual([]);
    await becomes(emil.userId, 'leave');
    await moderator.hears('waiting.list', ({ count: all }) => all === 0);
  });

  it('is led by moderators of any organisation, also over guests of another one', async () => {
    const otto = await somebody();
    await invite(otto.userId);
    expect((await answer(otto)).status).toBe(200);
    const levels = (await anna.must('GET', path('state/m.room.power_levels'))) as { users: Record<string, number> };
    await anna.must('PUT', path('state/m.room.power_levels'), {
      ...levels,
      users: { ...levels.users, [otto.userId]: 50 },
    });
    await rule('guests');
    const moderator = await eventually(
      async () => {
        const client = await enter(luebeck, otto);
        await client.hears('conference.changed', ({ rights }) => rights.includes('admit'), 500).catch(() => undefined);
        return client;
      },
      () => true,
    );
    const kai = await guestOf(hamburg, anna);
    const waits = await open(hamburg, kai);
    await waits.ask('conference.wait', { roomId });
    await shows(moderator, kai.userId);
    await waits.hears('waiting.changed', ({ told }) => told, 20_000);
    await moderator.ask('waiting.admit', { userIds: [kai.userId] });
    expect(await waits.hears('waiting.ended', () => true, 20_000)).toEqual({ outcome: 'admitted' });
    await waits.ask('conference.join', { roomId });
  });

  it('has who was sent back wait at an organisation that is out of the room by that, until admitted again', async () => {
    const otto = await somebody();
    await invite(otto.userId);
    const moderator = await enter(hamburg, anna);
    const inside = await open(luebeck, otto);
    const { me } = await inside.ask('conference.join', { roomId });
    await moderator.hears('participant.joined', ({ userId }) => userId === otto.userId);
    await moderator.ask('moderation.send-to-waiting', { participantIds: [me] });
    await inside.hears('conference.ended');
    await becomes(otto.userId, 'leave');
    await eventually(
      () => inside.ask('conference.wait', { roomId }).catch(() => undefined),
      (state) => state !== undefined,
    );
    await shows(moderator, otto.userId);
    await moderator.ask('waiting.admit', { userIds: [otto.userId] });
    expect(await inside.hears('waiting.ended', () => true, 20_000)).toEqual({ outcome: 'admitted' });
    await inside.ask('conference.join', { roomId });
  });

  it('shows nobody who waits anything of who takes part: recorded frames and /sync', async () => {
    await rule('everybody');
    const otto = await somebody();
    await invite(otto.userId);
    const dora = await hamburg.register(`dora-${String((count += 1))}`);
    const kai = await guestOf(hamburg, anna);
    const waiting = [
      { who: kai, client: await open(hamburg, kai) },
      { who: otto, client: await open(luebeck, otto) },
    ];
    for (const { client } of waiting) await client.ask('conference.wait', { roomId });
    const since = String(at(await kai.must('GET', 'client/v3/sync?timeout=0'), 'next_batch'));
    // Meanwhile much happens in the conference.
    const moderator = await enter(hamburg, anna);
    await moderator.ask('chat.send', { roomId, transactionId: 'one', body: 'a secret of the council' });
    await moderator.ask('hands.raise', {});
    await invite(dora.userId);
    await shows(moderator, kai.userId, otto.userId);
    const doras = await open(hamburg, dora);
    await doras.ask('conference.wait', { roomId });
    await moderator.hears('waiting.list', ({ count: all }) => all === 3);
    await moderator.ask('waiting.admit', { userIds: [dora.userId] });
    await doras.hears('waiting.ended');
    await doras.ask('conference.join', { roomId });
    for (const { client } of waiting) await client.hears('waiting.changed', ({ told }) => told, 20_000);
    for (const { who, client } of waiting) {
      for (const frame of client.frames) {
        for (const hidden of [
          anna.userId,
          dora.userId,
          'dora',
          'council',
          '"participants"',
          '"people"',
          'hand',
          'iceParameters',
        ]) {
          expect(frame).withContext(`${who.userId}: ${frame}`).not.toContain(hidden);
        }
      }
      const names = client.told.map(({ name }) => name);
      expect(names.filter((name) => !/^(waiting\.(changed|ended)|meetings\.changed)$/.test(name))).toEqual([]);
    }
    const synced = JSON.stringify([
      await kai.must('GET', 'client/v3/sync?timeout=0'),
      await kai.must('GET', `client/v3/sync?timeout=0&since=${since}`),
    ]);
    for (const hidden of [anna.userId, dora.userId, 'council', roomId]) expect(synced).not.toContain(hidden);
    const theirs = JSON.stringify(await otto.must('GET', 'client/v3/sync?timeout=0'));
    for (const hidden of [dora.userId, 'council', '_m.call', 'foci_preferred']) expect(theirs).not.toContain(hidden);
    expect((await kai.ask('GET', path('members'))).status).toBe(403);
    expect((await kai.ask('GET', path('state'))).status).toBe(403);
  });
});
