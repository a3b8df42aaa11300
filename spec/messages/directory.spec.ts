import type { JsonObject } from '../../federation/json.ts';
import { at, each, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

describe('Names of rooms', () => {
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

  const room = (alias: string): string => `/v3/directory/room/${encodeURIComponent(alias)}`;
  const canonical = (roomId: string): string => `/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.canonical_alias/`;

  it('are given once, found by anybody, listed to members, and can have any letters', async () => {
    const roomId = await bert.createRoom();
    const alias = '#Hafenrunde老虎:luebeck.example';
    expect((await bert.ask('PUT', room(alias), { room_id: roomId })).status).toBe(200);
    const again = await bert.ask('PUT', room(alias), { room_id: roomId });
    expect([again.status, again.body['errcode']]).toEqual([409, 'M_UNKNOWN']);
    const found = await clara.ask('GET', room(alias));
    expect(found.body).toEqual({ room_id: roomId, servers: ['luebeck.example'] });
    const path = `/v3/rooms/${encodeURIComponent(roomId)}/aliases`;
    expect((await bert.ask('GET', path)).body).toEqual({ aliases: [alias] });
    expect((await clara.ask('GET', path)).status).toBe(403);
  });

  it('of another server, or without form, are not given', async () => {
    const roomId = await bert.createRoom();
    for (const alias of ['#a:hamburg.example', '#:luebeck.example', 'a:luebeck.example']) {
      const { status, body } = await bert.ask('PUT', room(alias), { room_id: roomId });
      expect([status, body['errcode']]).toEqual([400, 'M_INVALID_PARAM']);
    }
    const outside = await clara.ask('PUT', room('#outside:luebeck.example'), { room_id: roomId });
    expect(outside.status).toBe(403);
  });

  it('are taken away by their creator or by who may name the room, and are struck out of its state then', async () => {
    const roomId = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(roomId);
    const [hers, his] = ['#hers:luebeck.example', '#his:luebeck.example'];
    await clara.ask('PUT', room(hers), { room_id: roomId });
    await bert.ask('PUT', room(his), { room_id: roomId });
    expect((await bert.ask('PUT', canonical(roomId), { alias: his, alt_aliases: [hers] })).status).toBe(200);
    expect((await clara.ask('DELETE', room(his))).status).toBe(403);
    expect((await clara.ask('DELETE', room(hers))).status).toBe(200);
    expect((await clara.ask('DELETE', room(hers))).status).toBe(404);
    expect((await bert.ask('DELETE', room(his))).status).toBe(200);
    expect((await bert.ask('GET', canonical(roomId))).body).toEqual({ alt_aliases: [hers] });
    expect((await clara.ask('GET', room(his))).status).toBe(404);
  });

  it('are taken away by an administrator', async () => {
    const roomId = await bert.createRoom();
    await bert.ask('PUT', room('#admin:luebeck.example'), { room_id: roomId });
    const emil = await luebeck.person('emil');
    expect((await emil.ask('DELETE', room('#admin:luebeck.example'))).status).toBe(403);
    await luebeck.accounts.setAdmin(emil.userId, true);
    expect((await emil.ask('DELETE', room('#admin:luebeck.example'))).status).toBe(200);
  });

  it('stand in the state of a room only when they lead to it', async () => {
    const [one, other] = [await bert.createRoom(), await bert.createRoom()];
    await bert.ask('PUT', room('#one:luebeck.example'), { room_id: one });
    const cases: [JsonObject, number, string | undefined][] = [
      [{ alias: '#one:luebeck.example' }, 400, 'M_BAD_ALIAS'],
      [{ alias: '#none:luebeck.example' }, 400, 'M_BAD_ALIAS'],
      [{ alias: '#none:nowhere.example' }, 400, 'M_BAD_ALIAS'],
      [{ alias: '%one:luebeck.example' }, 400, 'M_INVALID_PARAM'],
      [{ alt_aliases: ['#one:luebeck.example'] }, 400, 'M_BAD_ALIAS'],
      [{ alt_aliases: [7] }, 400, 'M_INVALID_PARAM'],
      [{ alt_aliases: 'x' }, 400, 'M_INVALID_PARAM'],
      [{ alt_aliases: Array.from({ length: 21 }, (_, n) => `#a${n}:nowhere.example`) }, 400, 'M_INVALID_PARAM'],
      [{}, 200, undefined],
    ];
    for (const [content, status, errcode] of cases) {
      const answer = await bert.ask('PUT', canonical(other), content);
      expect([answer.status, answer.body['errcode']]).toEqual([status, errcode]);
    }
    expect((await bert.ask('PUT', canonical(one), { alias: '#one:luebeck.example' })).status).toBe(200);
  });

  it('come with a new room, once, and lead into it', async () => {
    const body = { room_alias_name: 'quay', preset: 'public_chat' };
    const roomId = await bert.createRoom(body);
    const taken = await clara.ask('POST', '/v3/createRoom', body);
    expect([taken.status, taken.body['errcode']]).toEqual([400, 'M_ROOM_IN_USE']);
    expect((await bert.ask('GET', canonical(roomId))).body).toEqual({ alias: '#quay:luebeck.example' });
    await clara.join('#quay:luebeck.example');
    expect(await luebeck.rooms.membership(roomId, clara.userId)).toBe('join');
    expect((await clara.ask('POST', `/v3/join/${encodeURIComponent('#gone:luebeck.example')}`, {})).status).toBe(404);
  });

  it('are asked for at the server that they belong to', async () => {
    const roomId = await bert.createRoom();
    await bert.ask('PUT', room('#far:luebeck.example'), { room_id: roomId });
    const found = await dora.ask('GET', room('#far:luebeck.example'));
    expect(found.body).toEqual({ room_id: roomId, servers: ['luebeck.example'] });
    expect((await dora.ask('GET', room('#farther:luebeck.example'))).body['errcode']).toBe('M_NOT_FOUND');
    expect((await dora.ask('GET', room('#a:nowhere.example'))).status).toBe(502);
    const anonymous = async (alias: string): Promise<number> =>
      (await fetch(`${hamburg.url}/_matrix/client${room(alias)}`)).status;
    expect(await anonymous('#far:luebeck.example')).toBe(401);
    expect(await anonymous('#far:hamburg.example')).toBe(404);
  });
});

describe('The list of public rooms', () => {
  let luebeck: TestServer;
  let hamburg: TestServer;
  let bert: Person;
  let clara: Person;
  let dora: Person;

  beforeAll(async () => {
    [luebeck, hamburg] = await Promise.all([startServer('luebeck2.example'), startServer('hamburg2.example')]);
    [bert, clara, dora] = await Promise.all([luebeck.person('bert'), luebeck.person('clara'), hamburg.person('dora')]);
    for (const [name, topic] of [
      ['One', 'Wombles'],
      ['Two', 'ships'],
      ['Three', 'cranes'],
    ] as const) {
      await bert.createRoom({ name, topic, visibility: 'public', room_alias_name: name });
    }
    await clara.join('#Two:luebeck2.example');
    await bert.createRoom({ name: 'Hidden' });
    await bert.createRoom({
      name: 'Quarter',
      visibility: 'public',
      creation_content: { type: 'm.space' },
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }],
    });
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), hamburg.close()]);
  });

  const names = (body: unknown): unknown[] => each(body, 'chunk', 'name');

  it('shows listed rooms with most people first, page by page and back', async () => {
    const first = await clara.ask('GET', '/v3/publicRooms?limit=2');
    expect(at(first.body, 'chunk', 0)).toEqual({
      room_id: jasmine.any(String),
      name: 'Two',
      topic: 'ships',
      canonical_alias: '#Two:luebeck2.example',
      num_joined_members: 2,
      join_rule: 'public',
      world_readable: false,
      guest_can_join: false,
      room_version: jasmine.any(String),
    });
    expect(first.body['total_room_count_estimate']).toBe(4);
    const next = await clara.ask('GET', `/v3/publicRooms?limit=2&since=${String(first.body['next_batch'])}`);
    expect(next.body['next_batch']).toBeUndefined();
    expect([...names(first.body), ...names(next.body)].sort()).toEqual(['One', 'Quarter', 'Three', 'Two']);
    const back = await clara.ask('GET', `/v3/publicRooms?limit=2&since=${String(next.body['prev_batch'])}`);
    expect(names(back.body)).toEqual(names(first.body));
    expect((await clara.ask('GET', '/v3/publicRooms?since=nonsense')).status).toBe(400);
  });

  it('finds rooms by words and by type', async () => {
    const search = async (filter: JsonObject): Promise<unknown[]> =>
      names((await clara.ask('POST', '/v3/publicRooms', { filter })).body);
    expect(await search({ generic_search_term: 'wombles' })).toEqual(['One']);
    expect(await search({ room_types: ['m.space'] })).toEqual(['Quarter']);
    expect((await search({ room_types: [null] })).length).toBe(3);
    expect(await search({ generic_search_term: 'wombles', room_types: ['m.space'] })).toEqual([]);
  });

  it('is changed by those who may name the room, and is not for people who are not logged in', async () => {
    const { body } = await clara.ask('GET', `/v3/directory/room/${encodeURIComponent('#Three:luebeck2.example')}`);
    const path = `/v3/directory/list/room/${encodeURIComponent(String(body['room_id']))}`;
    expect((await clara.ask('PUT', path, { visibility: 'private' })).status).toBe(403);
    expect((await bert.ask('PUT', path, { visibility: 'private' })).status).toBe(200);
    expect((await clara.ask('GET', path)).body).toEqual({ visibility: 'private' });
    expect(names((await clara.ask('GET', '/v3/publicRooms')).body)).not.toContain('Three');
    expect((await bert.ask('PUT', path, {})).status).toBe(200);
    expect((await clara.ask('GET', path)).body).toEqual({ visibility: 'public' });
    expect((await fetch(`${luebeck.url}/_matrix/client/v3/publicRooms`)).status).toBe(401);
  });

  it('is asked for at another server', async () => {
    const path = '/v3/publicRooms?server=luebeck2.example';
    const { body } = await dora.ask('POST', path, { limit: 1, filter: { generic_search_term: 'ships' } });
    expect(names(body)).toEqual(['Two']);
    expect(names((await dora.ask('GET', path)).body)).toContain('One');
    expect((await dora.ask('GET', '/v3/publicRooms?server=nowhere.example')).status).toBe(502);
    expect((await dora.ask('GET', '/v3/publicRooms?server=..%2f')).status).toBe(400);
  });
});
