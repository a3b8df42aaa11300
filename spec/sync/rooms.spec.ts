import { at, list, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

const types = (events: readonly Record<string, unknown>[]): unknown[] => events.map((event) => event['type']);
const bodies = (events: readonly Record<string, unknown>[]): unknown[] =>
  events.filter((event) => event['type'] === 'm.room.message').map((event) => at(event, 'content', 'body'));

describe('/sync', () => {
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

  it('tells a room once, and again only when something happened in it', async () => {
    const room = await bert.createRoom();
    const first = await bert.sync();
    const entry = at(first, 'rooms', 'join', room);
    expect(types(list(entry, 'timeline', 'events'))).toContain('m.room.create');
    expect(at(entry, 'ephemeral', 'events')).toEqual([]);
    const second = await bert.sync({ since: String(first['next_batch']) });
    expect(at(second, 'rooms', 'join', room)).toBeUndefined();
    await bert.say(room, 'ahoy');
    const third = await bert.sync({ since: String(second['next_batch']) });
    expect(bodies(list(third, 'rooms', 'join', room, 'timeline', 'events'))).toEqual(['ahoy']);
    expect(list(third, 'rooms', 'join', room, 'state', 'events')).toEqual([]);
  });

  it('tells of a whole room with a token at which members can be asked for, who were there before others', async () => {
    const room = await bert.createRoom({ preset: 'public_chat' });
    const token = String(at(await bert.sync(), 'rooms', 'join', room, 'timeline', 'prev_batch'));
    await clara.join(room);
    const members = async (query: string): Promise<unknown[]> =>
      list((await bert.ask('GET', `/rooms/${room}/members${query}`)).body, 'chunk').map((event) => event['state_key']);
    expect(await members(`?at=${token}`)).toEqual([bert.userId]);
    expect((await members('')).toSorted()).toEqual([bert.userId, clara.userId]);
  });

  it('wakes somebody who waits', async () => {
    const room = await both();
    const since = await clara.now();
    const [answer] = await Promise.all([clara.sync({ since, timeout: '10000' }), bert.say(room, 'wake up')]);
    expect(bodies(list(answer, 'rooms', 'join', room, 'timeline', 'events'))).toEqual(['wake up']);
  });

  it('gives the state at the start of a timeline with a gap, not the present one', async () => {
    const room = await both();
    await bert.setState(room, 'm.room.name', { name: 'one' });
    const since = await clara.now();
    await bert.setState(room, 'm.room.name', { name: 'two' });
    await bert.setState(room, 'm.room.topic', { topic: 'boats' });
    await bert.say(room, 'a');
    await bert.setState(room, 'm.room.name', { name: 'three' });
    const filter = { room: { timeline: { limit: 2 } } };
    const answer = await clara.sync({ since, filter });
    const entry = at(answer, 'rooms', 'join', room);
    expect(at(entry, 'timeline', 'limited')).toBeTrue();
    const state = list(entry, 'state', 'events');
    expect(state.map((event) => event['content'])).toEqual([{ name: 'two' }, { topic: 'boats' }]);
    const earlier = String(at(entry, 'timeline', 'prev_batch'));
    const page = await clara.ask('GET', `/rooms/${room}/messages?dir=b&limit=2&from=${earlier}`);
    expect(list(page.body, 'chunk').map((event) => event['content'])).toEqual([{ topic: 'boats' }, { name: 'two' }]);

    const after = await clara.sync({ since, filter, use_state_after: 'true' });
    const then = list(after, 'rooms', 'join', room, 'state_after', 'events');
    expect(at(after, 'rooms', 'join', room, 'state')).toBeUndefined();
    expect(then.map((event) => event['content'])).toContain({ name: 'three' });
    expect(then.map((event) => event['content'])).not.toContain({ name: 'two' });
  });

  it('gives all state again when asked to, but of the timeline only what is new', async () => {
    const room = await both();
    await bert.say(room, 'old');
    const since = await clara.now();
    await bert.say(room, 'new');
    const entry = at(await clara.sync({ since, full_state: 'true' }), 'rooms', 'join', room);
    expect(bodies(list(entry, 'timeline', 'events'))).toEqual(['new']);
    expect(types(list(entry, 'state', 'events'))).toContain('m.room.create');
    const idle = at(await clara.sync({ since: await clara.now(), full_state: 'true' }), 'rooms', 'join', room);
    expect(list(idle, 'timeline', 'events')).toEqual([]);
    expect(types(list(idle, 'state', 'events'))).toContain('m.room.create');
  });

  it('gives the whole state of a room that is new, without what its timeline brings', async () => {
    const room = await bert.createRoom({ preset: 'public_chat', name: 'Harbour' });
    const since = await clara.now();
    await clara.join(room);
    const entry = at(await clara.sync({ since, filter: { room: { timeline: { limit: 1 } } } }), 'rooms', 'join', room);
    expect(at(entry, 'timeline', 'limited')).toBeTrue();
    expect(types(list(entry, 'timeline', 'events'))).toEqual(['m.room.member']);
    const state = list(entry, 'state', 'events');
    expect(types(state)).toContain('m.room.name');
    expect(state.filter((event) => event['state_key'] === clara.userId)).toEqual([]);
    expect(at(entry, 'summary')).toEqual({ 'm.joined_member_count': 2, 'm.invited_member_count': 0 });
  });

  it('names the people after whom a room without a name can be named', async () => {
    const room = await both();
    const entry = at(await clara.sync(), 'rooms', 'join', room);
    expect(at(entry, 'summary', 'm.heroes')).toEqual([bert.userId]);
    const since = await clara.now();
    await bert.say(room, 'nothing new about people');
    expect(at(await clara.sync({ since }), 'rooms', 'join', room, 'summary')).toBeUndefined();
  });

  it('tells an invitation with what the invited may know, and its rejection as a leave without the room', async () => {
    const room = await bert.createRoom({ preset: 'private_chat', name: 'Secret' });
    await bert.setState(room, 'org.example.inner', { plan: 'hidden' });
    const since = await clara.now();
    await bert.ask('POST', `/rooms/${room}/invite`, { user_id: clara.userId });
    const invited = await clara.sync({ since });
    const state = list(invited, 'rooms', 'invite', room, 'invite_state', 'events');
    expect(types(state)).toContain('m.room.create');
    expect(state.map((event) => event['state_key'])).toContain(bert.userId);
    expect(at(state.at(-1), 'content', 'membership')).toBe('invite');
    await clara.leave(room);
    const left = await clara.sync({ since: String(invited['next_batch']) });
    const entry = at(left, 'rooms', 'leave', room);
    expect(list(entry, 'timeline', 'events').map((event) => at(event, 'content', 'membership'))).toEqual(['leave']);
    expect(list(entry, 'state', 'events')).toEqual([]);
    expect((await clara.ask('GET', `/rooms/${room}/messages?dir=b`)).body['chunk']).not.toContain(
      jasmine.objectContaining({ content: { plan: 'hidden' } }),
    );
  });

  it('tells a room that was left up to the leave, later only with include_leave, and never when forgotten', async () => {
    const room = await both();
    const since = await clara.now();
    await bert.say(room, 'before');
    await clara.leave(room);
    await bert.say(room, 'after');
    const left = await clara.sync({ since });
    const entry = at(left, 'rooms', 'leave', room);
    expect(bodies(list(entry, 'timeline', 'events'))).toEqual(['before']);
    expect(list(entry, 'timeline', 'events').at(-1)?.['sender']).toBe(clara.userId);
    expect(at(left, 'rooms', 'join', room)).toBeUndefined();
    expect(at(await clara.sync(), 'rooms', 'leave', room)).toBeUndefined();
    const archived = { filter: { room: { include_leave: true } } };
    const events = list(await clara.sync(archived), 'rooms', 'leave', room, 'timeline', 'events');
    expect(bodies(events)).toEqual(['before']);
    await clara.ask('POST', `/rooms/${room}/forget`, {});
    expect(at(await clara.sync(archived), 'rooms', 'leave', room)).toBeUndefined();
    await clara.join(room);
    await clara.leave(room);
    expect(at(await clara.sync(archived), 'rooms', 'leave', room)).toBeDefined();
  });

  it('tells a leave in the next sync although the room was forgotten at once, and nothing else of the room', async () => {
    const room = await both();
    const since = await clara.now();
    await bert.say(room, 'meanwhile');
    await clara.leave(room);
    await clara.ask('POST', `/rooms/${room}/forget`, {});
    await bert.say(room, 'afterwards');
    const answer = await clara.sync({ since });
    const events = list(answer, 'rooms', 'leave', room, 'timeline', 'events');
    expect(events.map((event) => at(event, 'content', 'membership'))).toEqual(['leave']);
    const next = await clara.sync({ since: String(answer['next_batch']) });
    expect(at(next, 'rooms', 'leave', room)).toBeUndefined();
  });

  it('shows no leave of a room that was entered again', async () => {
    const room = await bert.createRoom({ preset: 'public_chat' });
    const since = await clara.now();
    await clara.join(room);
    await clara.leave(room);
    await clara.join(room);
    const answer = await clara.sync({ since });
    expect(at(answer, 'rooms', 'leave', room)).toBeUndefined();
    expect(at(answer, 'rooms', 'join', room)).toBeDefined();
  });

  it('filters by type with wildcards, by sender, by room and by links', async () => {
    const room = await both();
    const since = await clara.now();
    await bert.say(room, { a: 1 }, 'org.example.one');
    await clara.say(room, { a: 2, url: 'mxc://a/b' }, 'org.example.two');
    await bert.say(room, 'text');
    const seen = async (timeline: Record<string, never> | object, roomFilter: object = {}): Promise<unknown[]> => {
      const filter = JSON.stringify({ room: { ...roomFilter, timeline } });
      return types(list(await clara.sync({ since, filter }), 'rooms', 'join', room, 'timeline', 'events'));
    };
    expect(await seen({ types: ['org.example.*'] })).toEqual(['org.example.one', 'org.example.two']);
    expect(await seen({ not_types: ['org.*.one', 'm.room.message'] })).toEqual(['org.example.two']);
    expect(await seen({ senders: [clara.userId] })).toEqual(['org.example.two']);
    expect(await seen({ not_senders: [clara.userId] })).toEqual(['org.example.one', 'm.room.message']);
    expect(await seen({ contains_url: true })).toEqual(['org.example.two']);
    expect(await seen({}, { not_rooms: [room] })).toEqual([]);
    expect(await seen({}, { rooms: ['!other:luebeck.example'] })).toEqual([]);
  });

  it('takes a stored filter, and refuses one that is malformed or unknown', async () => {
    const room = await both();
    const stored = await clara.ask('POST', `/user/${clara.userId}/filter`, { room: { timeline: { limit: 1 } } });
    const answer = await clara.sync({ filter: String(stored.body['filter_id']) });
    expect(list(answer, 'rooms', 'join', room, 'timeline', 'events').length).toBe(1);
    for (const filter of ['{"room":{"timeline":{"limit":"x"}}}', '{', '999999']) {
      expect((await clara.ask('GET', `/sync?filter=${encodeURIComponent(filter)}`)).status).toBe(400);
    }
  });

  it('loads members lazily: who speaks, and each only once', async () => {
    const room = await both();
    const anna = await server.person('anna');
    await anna.join(room);
    const filter = { room: { state: { lazy_load_members: true }, timeline: { limit: 1 } } };
    await bert.say(room, 'hello');
    const members = (answer: unknown): unknown[] =>
      list(answer, 'rooms', 'join', room, 'state', 'events')
        .filter((event) => event['type'] === 'm.room.member')
        .map((event) => event['state_key']);
    const first = await clara.sync({ filter: { room: { ...filter.room, rooms: [room] } } });
    expect(members(first)).toContain(bert.userId);
    expect(members(first)).toContain(clara.userId);
    await anna.say(room, 'moin');
    const second = await clara.sync({ filter, since: String(first['next_batch']) });
    const third = await bert.say(room, 'again').then(() => clara.sync({ filter, since: String(second['next_batch']) }));
    expect(members(third)).toEqual([]);
    const redundant = { room: { ...filter.room, state: { lazy_load_members: true, include_redundant_members: true } } };
    await bert.say(room, 'and again');
    expect(members(await clara.sync({ filter: redundant, since: String(third['next_batch']) }))).toEqual([bert.userId]);
  });

  it('tells a transaction id to the device that sent the event, and to no other', async () => {
    const room = await both();
    const since = await bert.now();
    const phone = await server.person('bert');
    const eventId = await bert.say(room, 'mine');
    const unsigned = async (who: Person): Promise<unknown> => {
      const events = list(await who.sync({ since }), 'rooms', 'join', room, 'timeline', 'events');
      return at(
        events.find((event) => event['event_id'] === eventId),
        'unsigned',
        'transaction_id',
      );
    };
    expect(await unsigned(bert)).toMatch(/^t\d+$/);
    expect(await unsigned(phone)).toBeUndefined();
    expect(await unsigned(clara)).toBeUndefined();
  });

  it('says of events what they replaced, who redacted them, and what the reader was at the time', async () => {
    const room = await bert.createRoom({ preset: 'public_chat' });
    await bert.setState(room, 'm.room.name', { name: 'old' });
    const eventId = await bert.say(room, 'oops');
    const elsewhere = await bert.createRoom({});
    const misplaced = await bert.ask('PUT', `/rooms/${elsewhere}/redact/${eventId}/r0`, {});
    expect(misplaced.status).withContext('redacted in another room').toBe(400);
    await bert.ask('PUT', `/rooms/${room}/redact/${eventId}/r1`, { reason: 'wrong' });
    await clara.join(room);
    await bert.setState(room, 'm.room.name', { name: 'new' });
    const events = list(await clara.sync(), 'rooms', 'join', room, 'timeline', 'events');
    const redacted = events.find((event) => event['event_id'] === eventId);
    expect(redacted?.['content']).toEqual({});
    expect(at(redacted, 'unsigned', 'redacted_because', 'content', 'reason')).toBe('wrong');
    expect(at(redacted, 'unsigned', 'membership')).toBe('leave');
    const renamed = events.findLast((event) => event['type'] === 'm.room.name');
    expect(at(renamed, 'unsigned', 'prev_content')).toEqual({ name: 'old' });
    expect(at(renamed, 'unsigned', 'membership')).toBe('join');
  });

  it('hides messages and invitations of somebody who is ignored, but not what they did to the room', async () => {
    const [dora, erik] = [await server.person('dora'), await server.person('erik')];
    const room = await dora.createRoom({ preset: 'public_chat' });
    await erik.join(room);
    await erik.ask('PUT', `/user/${erik.userId}/account_data/m.ignored_user_list`, {
      ignored_users: { [dora.userId]: {} },
    });
    const since = await erik.now();
    await dora.say(room, 'hear me');
    await dora.setState(room, 'm.room.topic', { topic: 'changed' });
    const other = await dora.createRoom({ invite: [erik.userId] });
    const answer = await erik.sync({ since });
    expect(types(list(answer, 'rooms', 'join', room, 'timeline', 'events'))).toEqual(['m.room.topic']);
    expect(at(answer, 'rooms', 'invite', other)).toBeUndefined();
  });

  it('tells somebody of being removed who is invited again by a person who is ignored', async () => {
    const [fritz, gesa] = [await server.person('fritz'), await server.person('gesa')];
    const room = await fritz.createRoom({ preset: 'public_chat' });
    await gesa.join(room);
    const ignoring = `/user/${gesa.userId}/account_data/m.ignored_user_list`;
    await gesa.ask('PUT', ignoring, { ignored_users: { [fritz.userId]: {} } });
    const since = await gesa.now();
    for (const act of ['kick', 'invite', 'kick', 'invite']) {
      expect((await fritz.ask('POST', `/rooms/${room}/${act}`, { user_id: gesa.userId })).status).toBe(200);
    }
    const answer = await gesa.sync({ since });
    const events = list(answer, 'rooms', 'leave', room, 'timeline', 'events');
    expect(at(events.at(-1), 'content', 'membership')).toBe('leave');
    expect(at(answer, 'rooms', 'join', room)).toBeUndefined();
    expect(at(answer, 'rooms', 'invite', room)).toBeUndefined();
  });

  it('refuses a token that is not ours', async () => {
    expect((await clara.ask('GET', '/sync?since=nonsense')).status).toBe(400);
  });

  it('picks the fields of events that a client asks for', async () => {
    const room = await both();
    const since = await clara.now();
    await bert.say(room, { body: 'x', 'a.b': 1, other: 2 });
    const filter = { event_fields: ['type', 'content.body', 'content.a\\.b'], room: { rooms: [room] } };
    const [event] = list(await clara.sync({ since, filter }), 'rooms', 'join', room, 'timeline', 'events');
    expect(event).toEqual({ type: 'm.room.message', content: { body: 'x', 'a.b': 1 } });
  });
});
