import { at, list, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

const REMOTE = '@rolf:rostock.example';

describe('Personal data in /sync', () => {
  let server: TestServer;
  let bert: Person;
  let clara: Person;

  beforeAll(async () => {
    server = await startServer();
    [bert, clara] = [await server.person('bert'), await server.person('clara')];
  });
  afterAll(async () => {
    await server.close();
  });

  const both = async (): Promise<string> => {
    const room = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(room);
    return room;
  };
  const ephemeral = (answer: unknown, room: string, type: string): unknown[] =>
    list(answer, 'rooms', 'join', room, 'ephemeral', 'events')
      .filter((event) => event['type'] === type)
      .map((event) => event['content']);

  describe('account data', () => {
    const path = (who: Person, type: string, room?: string): string =>
      `/user/${who.userId}${room === undefined ? '' : `/rooms/${room}`}/account_data/${type}`;

    it('is kept for a user or for one of their rooms, and told to their other devices', async () => {
      const room = await both();
      const since = await bert.now();
      expect((await bert.ask('GET', path(bert, 'org.example'))).status).toBe(404);
      await bert.ask('PUT', path(bert, 'org.example'), { a: 1 });
      await bert.ask('PUT', path(bert, 'org.example', room), { b: 2 });
      expect((await bert.ask('GET', path(bert, 'org.example'))).body).toEqual({ a: 1 });
      expect((await bert.ask('GET', path(bert, 'org.example', room))).body).toEqual({ b: 2 });
      const answer = await bert.sync({ since });
      expect(list(answer, 'account_data', 'events')).toContain({ type: 'org.example', content: { a: 1 } });
      const inRoom = list(answer, 'rooms', 'join', room, 'account_data', 'events');
      expect(inRoom).toEqual([{ type: 'org.example', content: { b: 2 } }]);
      expect(at(answer, 'rooms', 'join', room, 'timeline', 'events')).toEqual([]);
      expect(list(await clara.sync({ since }), 'account_data', 'events')).toEqual([]);
      const filter = { account_data: { not_types: ['*'] }, room: { account_data: { types: [] } } };
      const without = await bert.sync({ since, filter });
      expect(list(without, 'account_data', 'events')).toEqual([]);
      expect(at(without, 'rooms', 'join', room)).toBeUndefined();
    });

    it('wakes a sync of its owner', async () => {
      const since = await bert.now();
      const waiting = bert.sync({ since, timeout: '10000' });
      await bert.ask('PUT', path(bert, 'org.example.wake'), { now: true });
      expect(list(await waiting, 'account_data', 'events')).toEqual([
        { type: 'org.example.wake', content: { now: true } },
      ]);
    });

    it('of somebody else is refused, as are contents that are no object and types of the server', async () => {
      expect((await bert.ask('PUT', path(clara, 'org.example'), {})).status).toBe(403);
      expect((await bert.ask('GET', path(clara, 'org.example'))).status).toBe(403);
      const list = [1] as unknown as Record<string, never>;
      expect((await bert.ask('PUT', path(bert, 'org.example'), list)).status).toBe(400);
      const refused = await bert.ask('PUT', path(bert, 'm.push_rules'), {});
      expect([refused.status, refused.body['errcode']]).toEqual([405, 'M_BAD_JSON']);
    });

    it('keeps tags of rooms', async () => {
      const room = await both();
      const tags = `/user/${bert.userId}/rooms/${room}/tags`;
      await bert.ask('PUT', `${tags}/m.favourite`, { order: 1 });
      await bert.ask('PUT', `${tags}/u.work`, {});
      expect((await bert.ask('GET', tags)).body).toEqual({ tags: { 'm.favourite': { order: 1 }, 'u.work': {} } });
      await bert.ask('DELETE', `${tags}/u.work`);
      const [event] = list(await bert.sync(), 'rooms', 'join', room, 'account_data', 'events');
      expect(event).toEqual({ type: 'm.tag', content: { tags: { 'm.favourite': { order: 1 } } } });
    });
  });

  describe('typing', () => {
    const type = (who: Person, room: string, body: Record<string, boolean | number>, as = who): Promise<number> =>
      who.ask('PUT', `/rooms/${room}/typing/${as.userId}`, body).then((answer) => answer.status);

    it('is told as the list of all who type, and ends by itself', async () => {
      const room = await both();
      let since = await clara.now();
      await type(bert, room, { typing: true, timeout: 60_000 });
      await type(clara, room, { typing: true, timeout: 60_000 });
      let answer = await clara.sync({ since });
      expect(ephemeral(answer, room, 'm.typing')).toEqual([{ user_ids: [bert.userId, clara.userId] }]);
      since = String(answer['next_batch']);
      await type(clara, room, { typing: false });
      answer = await clara.sync({ since });
      expect(ephemeral(answer, room, 'm.typing')).toEqual([{ user_ids: [bert.userId] }]);
      since = String(answer['next_batch']);
      await type(bert, room, { typing: true, timeout: 0 });
      answer = await clara.sync({ since, timeout: '5000' });
      expect(ephemeral(answer, room, 'm.typing')).toEqual([{ user_ids: [] }]);
    });

    it('is refused outside a room and for somebody else', async () => {
      const room = await bert.createRoom();
      expect(await type(clara, room, { typing: true })).toBe(403);
      expect(await type(bert, room, { typing: true }, clara)).toBe(403);
    });

    it('of other servers counts only for their own people who are in the room', async () => {
      const room = await both();
      const since = await clara.now();
      await server.edus.handle('rostock.example', 'm.typing', { room_id: room, user_id: REMOTE, typing: true });
      await server.edus.handle('rostock.example', 'm.typing', { room_id: room, user_id: bert.userId, typing: true });
      await server.edus.handle('rostock.example', 'm.typing', { room_id: 7, user_id: [], typing: 'x' });
      expect(ephemeral(await clara.sync({ since }), room, 'm.typing')).toEqual([]);
    });
  });

  describe('receipts', () => {
    const read = async (who: Person, room: string, event: string, kind = 'm.read', body = {}): Promise<number> =>
      (await who.ask('POST', `/rooms/${room}/receipt/${kind}/${event}`, body)).status;

    it('are told to all in the room, private ones only to their owner', async () => {
      const room = await both();
      const event = await bert.say(room, 'read me');
      const since = await bert.now();
      expect(await read(clara, room, event, 'm.read.private')).toBe(200);
      expect(ephemeral(await bert.sync({ since }), room, 'm.receipt')).toEqual([]);
      const [own] = ephemeral(await clara.sync({ since }), room, 'm.receipt');
      expect(at(own, event, 'm.read.private', clara.userId, 'ts')).toEqual(jasmine.any(Number));
      await read(clara, room, event);
      const [told] = ephemeral(await bert.sync({ since }), room, 'm.receipt');
      expect(at(told, event, 'm.read', clara.userId, 'thread_id')).toBeUndefined();
      expect(at(told, event, 'm.read.private')).toBeUndefined();
      const [first] = ephemeral(await bert.sync(), room, 'm.receipt');
      expect(at(first, event, 'm.read', clara.userId)).toBeDefined();
    });

    it('of one user for one event, of its thread and of all, are both told', async () => {
      const room = await both();
      const root = await bert.say(room, 'root');
      const event = await bert.say(room, {
        msgtype: 'm.text',
        body: 'reply',
        'm.relates_to': { rel_type: 'm.thread', event_id: root },
      });
      const since = await bert.now();
      await read(clara, room, event);
      await read(clara, room, event, 'm.read', { thread_id: root });
      const threads = ephemeral(await bert.sync({ since }), room, 'm.receipt').map((content) =>
        at(content, event, 'm.read', clara.userId, 'thread_id'),
      );
      expect(threads).toEqual(jasmine.arrayWithExactContents([undefined, root]));
    });

    it('never go back to an earlier event', async () => {
      const room = await both();
      const [one, two] = [await bert.say(room, 'one'), await bert.say(room, 'two')];
      await read(clara, room, two);
      await read(clara, room, one);
      const [content] = ephemeral(await bert.sync(), room, 'm.receipt');
      expect(Object.keys(content as object)).toEqual([two]);
    });

    it('are refused with a bad thread, of an unknown kind, for an unknown event and outside the room', async () => {
      const room = await both();
      const event = await bert.say(room, 'x');
      expect(await read(clara, room, event, 'm.read', { thread_id: '' })).toBe(400);
      expect(await read(clara, room, event, 'm.read', { thread_id: 7 })).toBe(400);
      expect(await read(clara, room, event, 'm.fully_read', { thread_id: 'main' })).toBe(400);
      expect(await read(clara, room, event, 'm.guess')).toBe(400);
      expect(await read(clara, room, '$unknown')).toBe(404);
      const outside = await bert.createRoom();
      expect(await read(clara, outside, event)).toBe(403);
    });

    it('and the fully read marker are set together', async () => {
      const room = await both();
      const event = await bert.say(room, 'x');
      const since = await clara.now();
      const body = { 'm.fully_read': event, 'm.read': event };
      expect((await clara.ask('POST', `/rooms/${room}/read_markers`, body)).status).toBe(200);
      const answer = await clara.sync({ since });
      expect(list(answer, 'rooms', 'join', room, 'account_data', 'events')).toEqual([
        { type: 'm.fully_read', content: { event_id: event } },
      ]);
      expect(ephemeral(answer, room, 'm.receipt').length).toBe(1);
    });

    it('of other servers count only for their own people who are in the room', async () => {
      const room = await both();
      const event = await bert.say(room, 'x');
      const since = await bert.now();
      const receipt = { data: { ts: 1 }, event_ids: [event] };
      await server.edus.handle('rostock.example', 'm.receipt', {
        [room]: { 'm.read': { [clara.userId]: receipt, [REMOTE]: receipt, '@odd:rostock.example': { data: 1 } } },
        '!unknown:rostock.example': 'x',
      });
      expect(ephemeral(await bert.sync({ since }), room, 'm.receipt')).toEqual([]);
    });
  });

  it('says nothing of presence when that is off', async () => {
    await both();
    const since = await clara.now();
    await bert.ask('PUT', `/presence/${bert.userId}/status`, { presence: 'online', status_msg: 'here' });
    expect(list(await clara.sync({ since }), 'presence', 'events')).toEqual([]);
    expect((await clara.ask('GET', `/presence/${bert.userId}/status`)).body).toEqual({ presence: 'offline' });
  });
});

describe('Presence', () => {
  let server: TestServer;
  let bert: Person;
  let clara: Person;

  beforeAll(async () => {
    server = await startServer({ presence: 'local' });
    [bert, clara] = [await server.person('bert'), await server.person('clara')];
  });
  afterAll(async () => {
    await server.close();
  });

  it('is told to those who share a room, and to nobody else', async () => {
    const stranger = await server.person('stranger');
    const room = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(room);
    const [since, strange] = [await clara.now(), await stranger.now()];
    const status = `/presence/${bert.userId}/status`;
    await bert.ask('PUT', status, { presence: 'unavailable', status_msg: 'at lunch' });
    const events = list(await clara.sync({ since }), 'presence', 'events');
    const event = events.find((one) => one['sender'] === bert.userId);
    expect(event?.['content']).toEqual(jasmine.objectContaining({ presence: 'unavailable', status_msg: 'at lunch' }));
    expect(at(await clara.ask('GET', status), 'body', 'status_msg')).toBe('at lunch');
    expect((await stranger.ask('GET', status)).status).toBe(403);
    const heard = list(await stranger.sync({ since: strange }), 'presence', 'events').map((one) => one['sender']);
    expect(heard).not.toContain(bert.userId);
  });

  it('of those inside is told to whoever enters a room, and the other way round, once', async () => {
    const [dora, erik] = [await server.person('dora'), await server.person('erik')];
    const [mine, theirs] = [await dora.now(), await erik.now()];
    const room = await dora.createRoom({ preset: 'public_chat' });
    await erik.join(room);
    const answer = await erik.sync({ since: theirs });
    expect(list(answer, 'presence', 'events').map((event) => event['sender'])).toContain(dora.userId);
    const other = await dora.sync({ since: mine });
    expect(list(other, 'presence', 'events').map((event) => event['sender'])).toContain(erik.userId);
    expect(list(await erik.sync({ since: String(answer['next_batch']) }), 'presence', 'events')).toEqual([]);
  });

  it('is set by a sync, or left alone by one that says offline', async () => {
    const fritz = await server.person('fritz');
    await fritz.sync({ set_presence: 'offline' });
    const status = `/presence/${fritz.userId}/status`;
    expect(at(await fritz.ask('GET', status), 'body', 'presence')).toBe('offline');
    await fritz.sync({ set_presence: 'unavailable' });
    expect(at(await fritz.ask('GET', status), 'body', 'presence')).toBe('unavailable');
    expect((await fritz.ask('GET', '/sync?set_presence=dancing')).status).toBe(400);
    expect((await fritz.ask('PUT', status, { presence: 'dancing' })).status).toBe(400);
    expect((await fritz.ask('PUT', `/presence/${bert.userId}/status`, { presence: 'online' })).status).toBe(403);
  });
});
