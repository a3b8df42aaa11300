import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestUser } from '../support/homeservers.ts';

describe('The event stream of the first clients', () => {
  let federation: TestFederation;
  let bert: TestUser;
  let anna: TestUser;
  let roomId: string;

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_PRESENCE: 'local' });
    const [server] = federation.servers;
    if (!server) throw new Error('There is no server.');
    bert = await server.register('bert');
    anna = await server.register('anna');
    roomId = String(
      at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat', visibility: 'public' }), 'room_id'),
    );
  });
  afterAll(() => federation.close());

  const now = async (user: TestUser): Promise<string> =>
    String(at(await user.must('GET', 'client/v3/events?timeout=0'), 'end'));
  const send = async (user: TestUser, body: string): Promise<string> =>
    String(
      at(
        await user.must('PUT', `client/v3/rooms/${roomId}/send/m.room.message/${body}`, { msgtype: 'm.text', body }),
        'event_id',
      ),
    );
  const chunkOf = (answer: unknown): unknown[] => {
    const chunk = at(answer, 'chunk');
    return Array.isArray(chunk) ? chunk : [];
  };

  it('begins now, waits, and tells each event once, with its room', async () => {
    const from = await now(bert);
    const waiting = bert.must('GET', `client/v3/events?from=${from}&timeout=20000`);
    const sent = await send(bert, 'one');
    const answer = await waiting;
    expect(at(answer, 'start')).toBe(from);
    const events = chunkOf(answer);
    expect(events.map((event) => at(event, 'event_id'))).toContain(sent);
    expect(events.map((event) => at(event, 'room_id'))).toContain(roomId);
    const next = await bert.must('GET', `client/v3/events?from=${String(at(answer, 'end'))}&timeout=0`);
    expect(chunkOf(next)).toEqual([]);
  });

  it('tells invitations, joins, typing, receipts and presence', async () => {
    const other = String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'private_chat' }), 'room_id'));
    let from = await now(anna);
    await bert.must('POST', `client/v3/rooms/${other}/invite`, { user_id: anna.userId });
    const invited = chunkOf(await anna.must('GET', `client/v3/events?from=${from}&timeout=20000`));
    expect(invited.map((event) => [at(event, 'room_id'), at(event, 'content', 'membership')])).toContain([
      other,
      'invite',
    ]);

    from = await now(bert);
    await anna.must('POST', `client/v3/rooms/${other}/join`, {});
    const message = await bert.must('PUT', `client/v3/rooms/${other}/send/m.room.message/a`, { body: 'a' });
    const eventId = String(at(message, 'event_id'));
    await anna.must('PUT', `client/v3/rooms/${other}/typing/${anna.userId}`, { typing: true, timeout: 20_000 });
    await anna.must('POST', `client/v3/rooms/${other}/receipt/m.read/${eventId}`, {});
    await anna.must('PUT', `client/v3/presence/${anna.userId}/status`, { presence: 'online', status_msg: 'here' });
    const types = new Set<unknown>();
    let present: unknown;
    await eventually(
      async () => {
        const answer = await bert.must('GET', `client/v3/events?from=${from}&timeout=1000`);
        from = String(at(answer, 'end'));
        for (const event of chunkOf(answer)) {
          types.add(at(event, 'type'));
          if (at(event, 'type') === 'm.presence') present = at(event, 'content', 'user_id') ?? present;
        }
        return types;
      },
      (told) => ['m.room.member', 'm.typing', 'm.receipt', 'm.presence'].every((type) => told.has(type)),
    );
    expect([bert.userId, anna.userId]).toContain(String(present));
  });

  it('tells who makes a room of it from its first event on', async () => {
    const from = await now(bert);
    const made = at(await bert.must('POST', 'client/v3/createRoom', {}), 'room_id');
    const told = chunkOf(await bert.must('GET', `client/v3/events?from=${from}&timeout=20000`));
    const types = told.filter((event) => at(event, 'room_id') === made).map((event) => at(event, 'type'));
    expect(types.slice(0, 2)).toEqual(['m.room.create', 'm.room.member']);
  });

  it('leaves messages out at the start when none are wanted', async () => {
    await send(bert, 'unwanted');
    const all = at(await bert.must('GET', 'client/v3/initialSync?limit=0'), 'rooms');
    const room: unknown = Array.isArray(all) ? all.find((entry) => at(entry, 'room_id') === roomId) : undefined;
    const one = await bert.must('GET', `client/v3/rooms/${roomId}/initialSync?limit=0`);
    expect([room, one].map((entry) => at(entry, 'messages', 'chunk'))).toEqual([[], []]);
  });

  it('makes who listens online', async () => {
    await now(anna);
    const presence = await anna.must('GET', `client/v3/presence/${anna.userId}/status`);
    expect(at(presence, 'presence')).toBe('online');
  });

  it('tells all at the start: rooms with their state and last messages, and invitations', async () => {
    const third = String(at(await anna.must('POST', 'client/v3/createRoom', { invite: [bert.userId] }), 'room_id'));
    const sent = await send(bert, 'two');
    const answer = await bert.must('GET', 'client/v3/initialSync?limit=3');
    const rooms = at(answer, 'rooms');
    const told = Array.isArray(rooms) ? rooms : [];
    const room: unknown = told.find((entry) => at(entry, 'room_id') === roomId);
    expect(at(room, 'membership')).toBe('join');
    expect(at(room, 'visibility')).toBe('public');
    expect(chunkOf(at(room, 'messages')).map((event) => at(event, 'event_id'))).toContain(sent);
    expect(chunkOf(at(room, 'messages')).length).toBe(3);
    const state = at(room, 'state');
    expect(Array.isArray(state) && state.some((event) => at(event, 'type') === 'm.room.create')).toBeTrue();
    const invitation: unknown = told.find((entry) => at(entry, 'room_id') === third);
    expect([at(invitation, 'membership'), at(invitation, 'inviter')]).toEqual(['invite', anna.userId]);
    const next = await bert.must('GET', `client/v3/events?from=${String(at(answer, 'end'))}&timeout=0`);
    expect(chunkOf(next).filter((event) => at(event, 'room_id') === roomId)).toEqual([]);
  });

  it('tells all of one room, and an outsider nothing', async () => {
    const sent = await send(bert, 'three');
    const answer = await bert.must('GET', `client/v3/rooms/${roomId}/initialSync?limit=2`);
    const chunk = chunkOf(at(answer, 'messages'));
    expect(at(chunk.at(-1), 'event_id')).toBe(sent);
    const start = String(at(answer, 'messages', 'start'));
    const before = await bert.must('GET', `client/v3/rooms/${roomId}/messages?dir=b&limit=1&from=${start}`);
    expect(at(chunkOf(before)[0], 'event_id')).not.toBe(at(chunk[0], 'event_id'));
    expect(at(answer, 'membership')).toBe('join');
    const refused = await anna.ask('GET', `client/v3/rooms/${roomId}/initialSync`);
    expect([refused.status, at(refused.body, 'errcode')]).toEqual([403, 'M_FORBIDDEN']);
  });

  it('shows a single event to those who may see it', async () => {
    const sent = await send(bert, 'four');
    expect(at(await bert.must('GET', `client/v3/events/${sent}`), 'event_id')).toBe(sent);
    expect((await anna.ask('GET', `client/v3/events/${sent}`)).status).toBe(404);
    expect((await anna.ask('GET', 'client/v3/events/$nothing')).status).toBe(404);
  });

  it('refuses tokens and numbers that it did not give', async () => {
    for (const path of ['events?from=x', 'events?timeout=-1', 'initialSync?limit=x', 'initialSync?limit=x']) {
      expect((await bert.ask('GET', `client/v3/${path}`)).status).toBe(400);
    }
  });
});
