/** Who was never inside a room learns nothing of it, however they stand to it; who was, what was there at the time. */
import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestUser } from '../support/homeservers.ts';

describe('A19: somebody outside a room', () => {
  let federation: TestFederation;
  let anna: TestUser;
  let bert: TestUser;
  let people = 0;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    const [server] = federation.servers;
    if (!server) throw new Error('There is no server.');
    [anna, bert] = [await server.register('anna'), await server.register('bert')];
  });
  afterAll(() => federation.close());

  const stranger = async (): Promise<TestUser> => {
    const user = await federation.servers[0]?.register(`stranger-${String(people++)}`);
    if (!user) throw new Error('There is no server.');
    return user;
  };
  async function send(roomId: string, body: string): Promise<string> {
    const path = `client/v3/rooms/${roomId}/send/m.room.message/${body.replaceAll(' ', '-')}`;
    return String(at(await anna.must('PUT', path, { msgtype: 'm.text', body }), 'event_id'));
  }
  /** A room that takes knocks, with a secret in its state and in its chat. */
  async function room(visibility = 'shared'): Promise<{ roomId: string; eventId: string }> {
    const made = await anna.must('POST', 'client/v3/createRoom', {
      invite: [bert.userId],
      initial_state: [
        { type: 'm.room.join_rules', content: { join_rule: 'knock' } },
        { type: 'm.room.history_visibility', content: { history_visibility: visibility } },
        { type: 'org.secret', content: { secret: 'treasure' } },
      ],
    });
    const roomId = String(at(made, 'room_id'));
    await bert.must('POST', `client/v3/join/${roomId}`, {});
    return { roomId, eventId: await send(roomId, 'treasure in words') };
  }
  /** Every way to look, and what each answered. */
  async function look(
    user: TestUser,
    roomId: string,
    eventId: string,
  ): Promise<{ path: string; status: number; text: string }[]> {
    const paths = [
      `v3/rooms/${roomId}/state`,
      `v3/rooms/${roomId}/state/org.secret`,
      `v3/rooms/${roomId}/state/m.room.member/${bert.userId}`,
      `v3/rooms/${roomId}/members`,
      `v3/rooms/${roomId}/members?at=p1`,
      `v3/rooms/${roomId}/joined_members`,
      `v3/rooms/${roomId}/messages?dir=b&limit=100`,
      `v3/rooms/${roomId}/event/${eventId}`,
      `v3/rooms/${roomId}/context/${eventId}`,
      `v3/rooms/${roomId}/aliases`,
      `v3/rooms/${roomId}/initialSync`,
      `v1/rooms/${roomId}/relations/${eventId}`,
      `v1/rooms/${roomId}/threads`,
      `v1/rooms/${roomId}/timestamp_to_event?ts=1&dir=f`,
      `v3/events/${eventId}`,
    ];
    const answers = [];
    for (const path of paths) {
      const { status, body } = await user.ask('GET', `client/${path}`);
      answers.push({ path, status, text: JSON.stringify(body) });
    }
    return answers;
  }
  /** What is told without being asked for. */
  async function told(user: TestUser): Promise<string> {
    const filter = encodeURIComponent(JSON.stringify({ room: { include_leave: true } }));
    const search = { search_categories: { room_events: { search_term: 'words' } } };
    return JSON.stringify([
      await user.must('GET', `client/v3/sync?filter=${filter}`),
      await user.must('POST', 'client/v3/search', search),
      await user.must('GET', 'client/v3/notifications'),
    ]);
  }
  async function expectNothing(user: TestUser, roomId: string, eventId: string, how: string): Promise<void> {
    for (const { path, status, text } of await look(user, roomId, eventId)) {
      expect([403, 404]).withContext(`${how}: ${path}`).toContain(status);
      expect(text).withContext(`${how}: ${path}`).not.toContain('treasure');
    }
    const text = await told(user);
    expect(text).withContext(how).not.toContain('treasure');
    expect(text).withContext(how).not.toContain(bert.userId);
  }

  for (const visibility of ['shared', 'invited', 'joined']) {
    it(`sees nothing by knocking, by an invitation, or by the end of either, with history ${visibility}`, async () => {
      const { roomId, eventId } = await room(visibility);
      const steps: Record<string, [TestUser, string, object][]> = {};
      const user = await stranger();
      steps['knock'] = [[user, `knock/${roomId}`, {}]];
      steps['knock taken back'] = [[user, `rooms/${roomId}/leave`, {}]];
      steps['knock refused'] = [
        [user, `knock/${roomId}`, {}],
        [anna, `rooms/${roomId}/kick`, { user_id: user.userId }],
      ];
      steps['invitation'] = [[anna, `rooms/${roomId}/invite`, { user_id: user.userId }]];
      steps['invitation declined'] = [[user, `rooms/${roomId}/leave`, {}]];
      steps['invitation taken back'] = [
        [anna, `rooms/${roomId}/invite`, { user_id: user.userId }],
        [anna, `rooms/${roomId}/kick`, { user_id: user.userId }],
      ];
      steps['ban'] = [[anna, `rooms/${roomId}/ban`, { user_id: user.userId }]];
      await expectNothing(user, roomId, eventId, 'stranger');
      for (const [how, acts] of Object.entries(steps)) {
        for (const [who, path, body] of acts) await who.must('POST', `client/v3/${path}`, body);
        await expectNothing(user, roomId, eventId, how);
      }
    });
  }

  it('sees what was there when they went out, whatever came after: knocks, refusals, invitations, bans', async () => {
    const { roomId } = await room();
    const user = await stranger();
    await anna.must('POST', `client/v3/rooms/${roomId}/invite`, { user_id: user.userId });
    await user.must('POST', `client/v3/join/${roomId}`, {});
    const eventId = await send(roomId, 'said in time');
    await user.must('POST', `client/v3/rooms/${roomId}/leave`, {});
    await anna.must('PUT', `client/v3/rooms/${roomId}/state/org.secret`, { secret: 'later' });
    const later = await send(roomId, 'said later');
    const expectThen = async (how: string): Promise<void> => {
      const state = await user.must('GET', `client/v3/rooms/${roomId}/state/org.secret`);
      expect(state as object)
        .withContext(how)
        .toEqual({ secret: 'treasure' });
      expect((await user.ask('GET', `client/v3/rooms/${roomId}/event/${eventId}`)).status).toBe(200);
      for (const { path, text } of await look(user, roomId, later)) {
        expect(text).withContext(`${how}: ${path}`).not.toContain('later');
      }
      expect(await told(user))
        .withContext(how)
        .not.toContain('later');
    };
    await expectThen('left');
    for (const [who, path, body] of [
      [user, `knock/${roomId}`, {}],
      [anna, `rooms/${roomId}/kick`, { user_id: user.userId }],
      [anna, `rooms/${roomId}/invite`, { user_id: user.userId }],
      [user, `rooms/${roomId}/leave`, {}],
      [anna, `rooms/${roomId}/ban`, { user_id: user.userId }],
    ] as const) {
      await who.must('POST', `client/v3/${path}`, body);
      await expectThen(path.replace(roomId, ''));
    }
  });

  it('is told what a room is called to which they are invited, and no more', async () => {
    const made = await anna.must('POST', 'client/v3/createRoom', { name: 'Budget', topic: 'Numbers' });
    const roomId = String(at(made, 'room_id'));
    const user = await stranger();
    await anna.must('POST', `client/v3/rooms/${roomId}/invite`, { user_id: user.userId });
    const sync = await user.must('GET', 'client/v3/sync');
    expect(JSON.stringify(at(sync, 'rooms', 'invite', roomId))).toContain('Budget');
    await user.must('POST', `client/v3/join/${roomId}`, {});
    expect((await user.ask('GET', `client/v3/rooms/${roomId}/state`)).status).toBe(200);
  });

  it('sees what was said while they were banned when they are let in again where history is shared', async () => {
    const { roomId } = await room();
    const user = await stranger();
    const path = `client/v3/rooms/${roomId}/`;
    await anna.must('POST', `${path}invite`, { user_id: user.userId });
    await user.must('POST', `client/v3/join/${roomId}`, {});
    await anna.must('POST', `${path}ban`, { user_id: user.userId });
    const said = await send(roomId, 'said meanwhile');
    await anna.must('POST', `${path}unban`, { user_id: user.userId });
    expect((await user.ask('GET', `${path}event/${said}`)).status).not.toBe(200);
    await anna.must('POST', `${path}invite`, { user_id: user.userId });
    await user.must('POST', `client/v3/join/${roomId}`, {});
    expect((await user.ask('GET', `${path}event/${said}`)).status).toBe(200);
  });
});
