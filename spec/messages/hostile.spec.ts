import { each, startPeer, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

describe('A permanent attacker: a server that lies', () => {
  let luebeck: TestServer;
  let bert: Person;
  let peer: Awaited<ReturnType<typeof startPeer>>;
  let answer: (path: string) => unknown;

  beforeAll(async () => {
    luebeck = await startServer('luebeck.example');
    bert = await luebeck.person('bert');
    peer = await startPeer('liar.example', (path) => answer(path));
  });

  afterAll(async () => {
    await peer.close();
    await luebeck.close();
  });

  it('about an alias leads nowhere', async () => {
    const path = `/v3/directory/room/${encodeURIComponent('#a:liar.example')}`;
    for (const lie of [{}, [], { room_id: 'x', servers: [] }, { room_id: '!a:liar.example', servers: 'x' }]) {
      answer = () => lie;
      expect((await bert.ask('GET', path)).status).toBe(502);
    }
    answer = () => ({ room_id: '!a:liar.example', servers: ['bad name', 'good.example', ''] });
    expect((await bert.ask('GET', path)).body['servers']).toEqual(['good.example', 'liar.example']);
  });

  it('about its public rooms shows none', async () => {
    for (const lie of [{}, { chunk: 'x' }, { chunk: [1] }, { chunk: [], next_batch: 7 }]) {
      answer = () => lie;
      expect((await bert.ask('GET', '/v3/publicRooms?server=liar.example')).status).toBe(502);
    }
  });

  it('about a space brings in no other room, nothing malformed and no endless tree', async () => {
    const root = await bert.createRoom({ creation_content: { type: 'm.space' } });
    const put = (room: string) =>
      bert.ask('PUT', `/v3/rooms/${encodeURIComponent(root)}/state/m.space.child/${encodeURIComponent(room)}`, {
        via: ['liar.example'],
      });
    const tree = async (query = '') => {
      const path = `/v1/rooms/${encodeURIComponent(root)}/hierarchy${query}`;
      return each((await bert.ask('GET', path)).body, 'rooms', 'room_id');
    };
    const child = (room: unknown) => ({
      type: 'm.space.child',
      state_key: room,
      content: { via: ['liar.example'] },
      sender: '@x:liar.example',
      origin_server_ts: 1,
    });
    const space = (roomId: string, children: unknown[]) => ({
      room: { room_id: roomId, room_type: 'm.space', join_rule: 'public', children_state: children },
      children: [],
      inaccessible_children: [],
    });
    await put('!one:liar.example');
    answer = () => space('!other:liar.example', []);
    expect(await tree()).toEqual([root]);
    await put('!closed:liar.example');
    answer = () => ({ room: { room_id: '!closed:liar.example', join_rule: 'invite', world_readable: 'yes' } });
    expect(await tree()).toEqual([root]);
    // Each room of the endless tree has one more below it, and every one leads back to the root as well.
    answer = (path) => {
      const roomId = /hierarchy\/([^?]*)/.exec(path)?.[1] ?? '';
      return space(roomId, [7, {}, child(7), child('nonsense'), child(root), child(`!x${roomId.slice(1)}`)]);
    };
    await put('!two:liar.example');
    const found = await tree('?limit=10');
    expect([found[0], found.length]).toEqual([root, 10]);
    expect(found.filter((roomId) => roomId === root)).toEqual([root]);
    expect(await tree('?max_depth=1&limit=10')).toEqual([root, '!one:liar.example', '!two:liar.example']);
  });

  it('about what a room is called is cut to size', async () => {
    answer = (path) => ({
      room: {
        room_id: /hierarchy\/([^?]*)/.exec(path)?.[1],
        join_rule: 'public',
        name: 'x'.repeat(100_000),
        num_joined_members: -5,
        topic: { evil: true },
        secret: 'y',
      },
    });
    const { body } = await bert.ask(
      'GET',
      `/v1/room_summary/${encodeURIComponent('!big:liar.example')}?via=liar.example`,
    );
    expect(body).toEqual({
      room_id: '!big:liar.example',
      join_rule: 'public',
      num_joined_members: 0,
      world_readable: false,
      guest_can_join: false,
    });
  });
});
