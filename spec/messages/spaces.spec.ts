import type { JsonObject } from '../../federation/json.ts';
import { at, each, startServer } from './support.ts';
import type { Answer, Person, TestServer } from './support.ts';

const SPACE = { creation_content: { type: 'm.space' } };
const READABLE = {
  preset: 'public_chat',
  initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }],
};

describe('Spaces', () => {
  let luebeck: TestServer;
  let hamburg: TestServer;
  let bert: Person;
  let clara: Person;
  let dora: Person;

  beforeAll(async () => {
    [luebeck, hamburg] = await Promise.all([startServer('luebeck.example'), startServer('hamburg.example')]);
    [bert, clara, dora] = await Promise.all([luebeck.person('bert'), luebeck.person('clara'), hamburg.person('dora')]);
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), hamburg.close()]);
  });

  const put = (person: Person, space: string, room: string, content: JsonObject): Promise<Answer> => {
    const path = `/v3/rooms/${encodeURIComponent(space)}/state/m.space.child/${encodeURIComponent(room)}`;
    return person.ask('PUT', path, content);
  };
  const tree = (person: Person, roomId: string, query = ''): Promise<Answer> =>
    person.ask('GET', `/v1/rooms/${encodeURIComponent(roomId)}/hierarchy${query}`);
  const ids = ({ body }: Answer): unknown[] => each(body, 'rooms', 'room_id');
  const via = { via: ['luebeck.example'] };

  it('are walked depth first, in their order, in pages, down to a depth, or only what is suggested', async () => {
    const [root, inner, a, b, c, plain] = (await Promise.all([
      bert.createRoom({ ...SPACE, name: 'Root' }),
      bert.createRoom(SPACE),
      bert.createRoom({ name: 'A' }),
      bert.createRoom({ name: 'B' }),
      bert.createRoom({ name: 'C' }),
      bert.createRoom(),
    ])) as [string, string, string, string, string, string];
    await put(bert, root, b, { ...via, suggested: true });
    await put(bert, root, a, { ...via, order: 'b', suggested: true });
    await put(bert, root, inner, { ...via, order: 'a' });
    await put(bert, inner, c, via);
    await put(bert, inner, root, via);
    // A room that is no space has nothing below it, and a link without servers is none.
    await put(bert, a, plain, via);
    await put(bert, root, plain, { via: [] });
    const all = await tree(bert, root);
    expect(ids(all)).toEqual([root, inner, c, a, b]);
    expect(at(all.body, 'rooms', 0, 'name')).toBe('Root');
    expect(at(all.body, 'rooms', 0, 'room_type')).toBe('m.space');
    expect(each(all.body, 'rooms.0.children_state', 'state_key')).toEqual([inner, a, b]);
    expect(at(all.body, 'rooms', 0, 'children_state', 0)).toEqual({
      type: 'm.space.child',
      state_key: inner,
      content: { ...via, order: 'a' },
      sender: bert.userId,
      origin_server_ts: jasmine.any(Number),
      room_id: root,
    });
    expect(ids(await tree(bert, root, '?max_depth=1'))).toEqual([root, inner, a, b]);
    expect(ids(await tree(bert, root, '?suggested_only=true'))).toEqual([root, a, b]);
    const first = await tree(bert, root, '?limit=3');
    expect(ids(first)).toEqual([root, inner, c]);
    const next = String(first.body['next_batch']);
    const second = await tree(bert, root, `?from=${next}`);
    expect([ids(second), second.body['next_batch']]).toEqual([[a, b], undefined]);
    expect((await tree(bert, root, `?from=${next}&max_depth=1`)).status).toBe(400);
    expect((await tree(bert, root, '?from=x')).status).toBe(400);
  });

  it('show only rooms that one could enter or read', async () => {
    const root = await bert.createRoom({ ...SPACE, preset: 'public_chat' });
    const restricted = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: root }] };
    const [hidden, invited, open, below] = (await Promise.all([
      bert.createRoom({ name: 'hidden' }),
      bert.createRoom({ invite: [clara.userId] }),
      bert.createRoom(READABLE),
      bert.createRoom({ initial_state: [{ type: 'm.room.join_rules', content: restricted }] }),
    ])) as [string, string, string, string];
    for (const roomId of [hidden, invited, open, below]) await put(bert, root, roomId, via);
    expect(ids(await tree(clara, root)).sort()).toEqual([root, invited, open].sort());
    await clara.join(root);
    expect(ids(await tree(clara, root)).sort()).toEqual([root, invited, open, below].sort());
    expect((await tree(clara, hidden)).status).toBe(403);
    expect((await tree(clara, '!unknown:nowhere.example')).status).toBe(403);
  });

  it('reach over to other servers, which tell each what it may know', async () => {
    const root = await bert.createRoom({ ...SPACE, ...READABLE });
    const [far, farSpace, farHidden] = [
      await dora.createRoom(READABLE),
      await dora.createRoom({ ...SPACE, ...READABLE, name: 'Speicherstadt' }),
      await dora.createRoom(),
    ];
    const near = await bert.createRoom(READABLE);
    const there = { via: ['hamburg.example'] };
    await put(bert, root, farSpace, there);
    await put(bert, root, farHidden, there);
    await put(dora, farSpace, far, there);
    await put(dora, farSpace, farHidden, there);
    await put(dora, farSpace, near, via);
    const all = await tree(bert, root);
    expect(ids(all)).toEqual([root, farSpace, far, near]);
    expect(at(all.body, 'rooms', 1, 'name')).toBe('Speicherstadt');
    expect(each(all.body, 'rooms.1.children_state', 'state_key')).toEqual([far, farHidden, near]);
    expect(ids(await tree(bert, farSpace, '?max_depth=0')).length).toBeLessThanOrEqual(1);
  });

  it('show a room of another server that is for the members of a space, once both know of them', async () => {
    const space = await bert.createRoom({ ...SPACE, ...READABLE });
    const allow = [{ type: 'm.room_membership', room_id: space }];
    const rules = { type: 'm.room.join_rules', content: { join_rule: 'restricted', allow } };
    const room = await dora.createRoom({ initial_state: [rules] });
    await put(bert, space, room, { via: ['hamburg.example'] });
    expect(ids(await tree(bert, space))).toEqual([space]);
    expect((await dora.ask('POST', `/v3/join/${encodeURIComponent(space)}?via=luebeck.example`, {})).status).toBe(200);
    expect(ids(await tree(bert, space))).toEqual([space, room]);
    expect(ids(await tree(clara, space))).toEqual([space]);
  });

  it('and single rooms are described to those who may know of them, by id or alias, here and elsewhere', async () => {
    const roomId = await bert.createRoom({ ...READABLE, name: 'Quay', room_alias_name: 'quay' });
    const hidden = await bert.createRoom();
    const summary = (person: Person, room: string, query = ''): Promise<Answer> =>
      person.ask('GET', `/v1/room_summary/${encodeURIComponent(room)}${query}`);
    expect((await summary(bert, roomId)).body).toEqual({
      room_id: roomId,
      name: 'Quay',
      canonical_alias: '#quay:luebeck.example',
      num_joined_members: 1,
      join_rule: 'public',
      world_readable: true,
      guest_can_join: false,
      room_version: jasmine.any(String),
      membership: 'join',
    });
    const far = await summary(dora, '#quay:luebeck.example');
    expect([far.body['name'], far.body['membership']]).toEqual(['Quay', undefined]);
    expect((await summary(dora, roomId, '?via=luebeck.example')).body['name']).toBe('Quay');
    expect((await summary(clara, hidden)).status).toBe(404);
    expect((await summary(dora, hidden, '?via=luebeck.example')).status).toBe(404);
    expect((await summary(dora, 'x')).status).toBe(400);
  });
});

describe('A room across servers', () => {
  let luebeck: TestServer;
  let hamburg: TestServer;
  let bert: Person;
  let dora: Person;

  beforeAll(async () => {
    [luebeck, hamburg] = await Promise.all([startServer('luebeck6.example'), startServer('hamburg6.example')]);
    [bert, dora] = await Promise.all([luebeck.person('bert'), hamburg.person('dora')]);
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), hamburg.close()]);
  });

  it('is entered by its alias, and its past is found by time with what is around it', async () => {
    const roomId = await bert.createRoom({ preset: 'public_chat', room_alias_name: 'harbour' });
    const first = await bert.say(roomId, 'first');
    const second = await bert.say(roomId, 'second');
    await dora.join('#harbour:luebeck6.example');
    expect(await hamburg.rooms.membership(roomId, dora.userId)).toBe('join');
    const times = `/v1/rooms/${encodeURIComponent(roomId)}/timestamp_to_event`;
    const firstAt = (await luebeck.rooms.event(first))?.pdu.origin_server_ts ?? 0;
    const found = await dora.ask('GET', `${times}?dir=f&ts=${firstAt}`);
    expect(found.body).toEqual({ event_id: first, origin_server_ts: firstAt });
    const context = await dora.ask(
      'GET',
      `/v3/rooms/${encodeURIComponent(roomId)}/context/${encodeURIComponent(first)}?limit=2`,
    );
    expect(each(context.body, 'events_after', 'event_id')).toEqual([second]);
    const search = await dora.ask('POST', '/v3/search', {
      search_categories: { room_events: { search_term: 'second' } },
    });
    expect(each(search.body, 'search_categories.room_events.results', 'result', 'event_id')).toEqual([second]);
    const people = await dora.ask('POST', '/v3/user_directory/search', { search_term: 'bert' });
    expect(people.body['results']).toEqual([{ user_id: bert.userId, display_name: 'bert' }]);
  });

  it('is asked about its time only by servers that are in it', async () => {
    const roomId = await bert.createRoom({ preset: 'public_chat' });
    const path = `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(roomId)}?ts=1&dir=f`;
    expect((await fetch(luebeck.url + path)).status).toBe(401);
    expect((await hamburg.ask('luebeck6.example', path)).code).toBe('M_FORBIDDEN');
    const hierarchy = `/_matrix/federation/v1/hierarchy/${encodeURIComponent(await bert.createRoom())}`;
    expect((await hamburg.ask('luebeck6.example', hierarchy)).code).toBe('M_NOT_FOUND');
  });
});
