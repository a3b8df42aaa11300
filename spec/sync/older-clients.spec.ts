import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

describe('What clients of the first versions, and such that know Synapse, expect', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_PRESENCE: 'local' });
    const [first] = federation.servers;
    if (!first) throw new Error('There is no server.');
    server = first;
    bert = await server.register('bert');
  });
  afterAll(() => federation.close());

  const room = async (content: object = {}): Promise<string> =>
    String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat', ...content }), 'room_id'));
  const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

  it('are members of unsigned outside of it and the sender as user_id, everywhere but in a sync', async () => {
    const roomId = await room({ topic: 'old' });
    await bert.must('PUT', `client/v3/rooms/${roomId}/state/m.room.topic`, { topic: 'new' });
    const page = await bert.must('GET', `client/v3/rooms/${roomId}/messages?dir=b&limit=1`);
    const event = at(page, 'chunk', 0);
    expect(at(event, 'user_id')).toBe(bert.userId);
    expect(at(event, 'prev_content', 'topic')).toBe('old');
    expect(at(event, 'replaces_state')).toBe(at(event, 'unsigned', 'replaces_state'));
    const synced = listOf(at(await bert.must('GET', 'client/v3/sync'), 'rooms', 'join', roomId, 'timeline', 'events'));
    expect(at(synced.at(-1), 'content', 'topic')).toBe('new');
    expect(at(synced.at(-1), 'user_id')).toBeUndefined();
    expect(at(synced.at(-1), 'prev_content')).toBeUndefined();
  });

  it('are the addresses below unstable and api/v1', async () => {
    for (const version of ['unstable', 'api/v1']) {
      expect((await bert.ask('GET', `client/${version}/notifications`)).status).toBe(200);
      expect((await bert.ask('GET', `client/${version}/nothing`)).status).toBe(404);
    }
  });

  it('is 400 for push rules at addresses that there are not', async () => {
    const asked = [
      ['GET', ''],
      ['GET', '/global'],
      ['GET', '/global/room'],
      ['GET', '/device/'],
      ['GET', '/global/override/.m.rule.master/other'],
      ['PUT', '/'],
      ['PUT', '/global/room'],
      ['PUT', '/global/override/.m.rule.master/other'],
    ] as const;
    for (const [method, path] of asked) {
      const body = method === 'PUT' ? {} : undefined;
      expect([path, (await bert.ask(method, `client/v3/pushrules${path}`, body)).status]).toEqual([path, 400]);
    }
    expect(listOf(await bert.must('GET', 'client/v3/pushrules/global/override/')).length).toBeGreaterThan(0);
    expect(at(await bert.must('GET', 'client/v3/pushrules/global/'), 'override')).toBeDefined();
  });

  it('is that those who are met are told as offline when nothing is known of them', async () => {
    const clara = await server.register('clara');
    const roomId = await room();
    const since = String(at(await clara.must('GET', 'client/v3/sync'), 'next_batch'));
    await server.register('dora').then((dora) => dora.must('POST', `client/v3/rooms/${roomId}/join`, {}));
    await clara.must('POST', `client/v3/rooms/${roomId}/join`, {});
    const told = listOf(at(await clara.must('GET', `client/v3/sync?since=${since}`), 'presence', 'events'));
    const dora = told.find((event) => at(event, 'sender') === bert.userId.replace('bert', 'dora'));
    expect(at(dora, 'content')).toEqual({ presence: 'offline' });
  });

  it('is that a room with a name does not come with the members after whom it might be named', async () => {
    const roomId = await room({ name: 'Named' });
    const emil = await server.register('emil');
    await emil.must('POST', `client/v3/rooms/${roomId}/join`, {});
    await bert.must('PUT', `client/v3/rooms/${roomId}/send/m.room.message/last`, { body: 'last' });
    const filter = encodeURIComponent(
      JSON.stringify({ room: { timeline: { limit: 1 }, state: { lazy_load_members: true } } }),
    );
    const entry = at(await bert.must('GET', `client/v3/sync?filter=${filter}`), 'rooms', 'join', roomId);
    const members = listOf(at(entry, 'state', 'events')).filter((event) => at(event, 'type') === 'm.room.member');
    expect(members.map((event) => at(event, 'state_key'))).toEqual([bert.userId]);
  });

  it('is told that nobody can be invited by mail address', async () => {
    const somebody = { id_server: 'id.example', id_access_token: 'x', medium: 'email', address: 'a@b.example' };
    const created = await bert.ask('POST', 'client/v3/createRoom', { invite_3pid: [somebody] });
    const room = String(at(await bert.must('POST', 'client/v3/createRoom', { invite_3pid: [] }), 'room_id'));
    const invited = await bert.ask('POST', `client/v3/rooms/${room}/invite`, somebody);
    for (const { status, body } of [created, invited]) {
      expect([status, at(body, 'errcode')]).toEqual([403, 'M_THREEPID_DENIED']);
    }
  });

  it('is the path of the aliases of a room from before the specification had it', async () => {
    const made = await bert.must('POST', 'client/v3/createRoom', { room_alias_name: 'former' });
    const former = `client/unstable/org.matrix.msc2432/rooms/${String(at(made, 'room_id'))}/aliases`;
    expect(await bert.must('GET', former)).toEqual({ aliases: [at(made, 'room_alias')] });
  });

  it('is that a guest may stay under the name they have, and nobody else take it', async () => {
    const guest = (await server.ask('POST', 'client/v3/register?kind=guest', {})).body;
    const [userId, token] = [String(at(guest, 'user_id')), String(at(guest, 'access_token'))];
    const username = userId.slice(1, userId.indexOf(':'));
    const wanted = { username, password: 'a long enough password', auth: { type: 'm.login.dummy' } };
    const stranger = { ...wanted, guest_access_token: bert.token };
    expect((await server.ask('POST', 'client/v3/register', stranger)).status).toBe(403);
    expect((await server.ask('POST', 'client/v3/register', wanted)).status).toBe(400);
    const answer = await server.ask('POST', 'client/v3/register', { ...wanted, guest_access_token: token });
    expect(answer.status).toBe(200);
    expect(at(answer.body, 'user_id')).toBe(userId);
    const whoami = await server.ask('GET', 'client/v3/account/whoami', undefined, token);
    expect(at(whoami.body, 'is_guest')).toBeFalse();
    const again = { ...wanted, guest_access_token: token };
    expect((await server.ask('POST', 'client/v3/register', again)).status).toBe(403);
  });

  it('is that the surroundings of an event are forbidden to those outside', async () => {
    const roomId = await room();
    const sent = at(
      await bert.must('PUT', `client/v3/rooms/${roomId}/send/m.room.message/m`, { body: 'm' }),
      'event_id',
    );
    const outsider = await server.register('outsider');
    expect((await outsider.ask('GET', `client/v3/rooms/${roomId}/context/${String(sent)}`)).status).toBe(403);
  });

  it('is that typing may be said with a number', async () => {
    const roomId = await room();
    const path = `client/v3/rooms/${roomId}/typing/${bert.userId}`;
    expect((await bert.ask('PUT', path, { typing: 1, timeout: 5000 })).status).toBe(200);
    expect((await bert.ask('PUT', path, { typing: 2 })).status).toBe(400);
  });

  it('is that who is in a listed room that nobody may enter or read is not found', async () => {
    const frida = await server.register('frida');
    const roomId = String(
      at(await frida.must('POST', 'client/v3/createRoom', { preset: 'public_chat', visibility: 'public' }), 'room_id'),
    );
    const found = async (): Promise<number> =>
      listOf(at(await bert.must('POST', 'client/v3/user_directory/search', { search_term: 'frida' }), 'results'))
        .length;
    expect(await found()).toBe(1);
    await frida.must('PUT', `client/v3/rooms/${roomId}/state/m.room.join_rules`, { join_rule: 'invite' });
    expect(await found()).toBe(0);
  });

  it('is that who came during a gap is told with the gap, although others are left out', async () => {
    const roomId = await room({ name: 'With a gap' });
    const filter = encodeURIComponent(
      JSON.stringify({ room: { timeline: { limit: 2 }, state: { lazy_load_members: true } } }),
    );
    const since = String(at(await bert.must('GET', `client/v3/sync?filter=${filter}`), 'next_batch'));
    const gero = await server.register('gero');
    await gero.must('POST', `client/v3/rooms/${roomId}/join`, {});
    for (const body of ['1', '2', '3']) {
      await bert.must('PUT', `client/v3/rooms/${roomId}/send/m.room.message/gap${body}`, { body });
    }
    const synced = await bert.must('GET', `client/v3/sync?filter=${filter}&since=${since}`);
    const state = listOf(at(synced, 'rooms', 'join', roomId, 'state', 'events'));
    expect(state.map((event) => at(event, 'state_key'))).toContain(gero.userId);
  });
});
