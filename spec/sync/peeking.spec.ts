import { at, startHomeservers } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

describe('Looking into a room from outside', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let outsider: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_PRESENCE: 'local' });
    const [first] = federation.servers;
    if (!first) throw new Error('There is no server.');
    server = first;
    bert = await server.register('bert');
    outsider = await server.register('outsider');
  });
  afterAll(() => federation.close());

  const room = async (): Promise<string> =>
    String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
  const readable = (roomId: string, by: string): Promise<unknown> =>
    bert.must('PUT', `client/v3/rooms/${roomId}/state/m.room.history_visibility`, { history_visibility: by });
  const send = async (roomId: string, body: string): Promise<string> =>
    String(at(await bert.must('PUT', `client/v3/rooms/${roomId}/send/m.room.message/${body}`, { body }), 'event_id'));
  const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

  it('tells what happens in a room that all may read: events, receipts, typing, presence', async () => {
    const roomId = await room();
    await readable(roomId, 'world_readable');
    let from = String(at(await outsider.must('GET', `client/v3/rooms/${roomId}/initialSync`), 'messages', 'end'));
    const next = async (type: string): Promise<unknown> => {
      for (let tries = 0; tries < 20; tries++) {
        const answer = await outsider.must('GET', `client/v3/events?room_id=${roomId}&from=${from}&timeout=10000`);
        from = String(at(answer, 'end'));
        const found = listOf(at(answer, 'chunk')).find((event) => at(event, 'type') === type);
        if (found !== undefined) return found;
      }
      throw new Error(`${type} was not told.`);
    };
    const message = next('m.room.message');
    const sent = await send(roomId, 'one');
    expect(at(await message, 'event_id')).toBe(sent);
    const presence = next('m.presence');
    await bert.must('PUT', `client/v3/presence/${bert.userId}/status`, { presence: 'online', status_msg: 'here' });
    expect(at(await presence, 'content', 'user_id')).toBe(bert.userId);
    const receipt = next('m.receipt');
    await bert.must('POST', `client/v3/rooms/${roomId}/receipt/m.read/${sent}`, {});
    expect(at(await receipt, 'content', sent, 'm.read', bert.userId)).toBeDefined();
    const typing = next('m.typing');
    await bert.must('PUT', `client/v3/rooms/${roomId}/typing/${bert.userId}`, { typing: true, timeout: 5000 });
    expect(at(await typing, 'content', 'user_ids')).toEqual([bert.userId]);
  });

  it('is refused in all other rooms, and guests say of which they want to hear', async () => {
    const roomId = await room();
    expect((await outsider.ask('GET', `client/v3/events?room_id=${roomId}&timeout=0`)).status).toBe(403);
    const guest = await server.ask('POST', 'client/v3/register?kind=guest', {});
    const token = String(at(guest.body, 'access_token'));
    const asGuest = (path: string): Promise<Answer> => server.ask('GET', path, undefined, token);
    expect((await asGuest('client/v3/events?timeout=0')).status).toBe(400);
    await readable(roomId, 'world_readable');
    expect((await asGuest(`client/v3/events?room_id=${roomId}&timeout=0`)).status).toBe(200);
  });

  it('shows a change of who may read to those whom the old or the new rule lets read', async () => {
    const roomId = await room();
    await send(roomId, 'before');
    await readable(roomId, 'world_readable');
    await send(roomId, 'after');
    const first = await outsider.must('GET', `client/v3/rooms/${roomId}/messages?dir=b&limit=20`);
    expect(listOf(at(first, 'chunk')).map((event) => at(event, 'content', 'body') ?? at(event, 'type'))).toEqual([
      'after',
      'm.room.history_visibility',
    ]);

    const other = await room();
    for (const rule of ['joined', 'invited', 'shared']) await readable(other, rule);
    await outsider.must('POST', `client/v3/rooms/${other}/join`, {});
    const second = await outsider.must('GET', `client/v3/rooms/${other}/messages?dir=b&limit=20`);
    const rules = listOf(at(second, 'chunk')).map((event) => at(event, 'content', 'history_visibility'));
    expect(rules.filter((rule) => rule !== undefined)).toEqual(['shared', 'joined', 'shared']);
  });

  it('waits for nothing that is meant for a device, and leaves it to be synced', async () => {
    const device = at(await outsider.must('GET', 'client/v3/account/whoami'), 'device_id');
    const from = at(await outsider.must('GET', 'client/v3/events?timeout=0'), 'end');
    await bert.must('PUT', 'client/v3/sendToDevice/m.test/1', {
      messages: { [outsider.userId]: { [String(device)]: { text: 'for the device' } } },
    });
    const answer = await outsider.must('GET', `client/v3/events?from=${String(from)}&timeout=0`);
    await outsider.must('GET', `client/v3/events?from=${String(at(answer, 'end'))}&timeout=0`);
    const synced = await outsider.must('GET', 'client/v3/sync');
    expect(at(synced, 'to_device', 'events', 0, 'content', 'text')).toBe('for the device');
  });
});
