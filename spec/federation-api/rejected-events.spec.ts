import { eventId } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

describe('A rejected event', () => {
  let federation: TestFederation;
  let luebeck: TestHomeserver;
  let hamburg: TestHomeserver;
  let bert: TestUser;
  let anna: TestUser;
  let peer: Peer;

  beforeAll(async () => {
    federation = await startHomeservers(2, {}, ['127.0.0.1', 'localhost']);
    [luebeck, hamburg] = federation.servers as [TestHomeserver, TestHomeserver];
    [bert, anna] = await Promise.all([luebeck.register('bert'), hamburg.register('anna')]);
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  it('hides nothing of what came before it from a server that was away', async () => {
    const roomId = String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
    const path = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
    await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}?via=${luebeck.serverName}`, {});
    const mallory = peer.userId('mallory');
    const room = await peer.join(luebeck.serverName, roomId, mallory);
    await hamburg.stop();
    const send = async (type: string, content: JsonObject, stateKey?: string): Promise<unknown> => {
      const event = { sender: mallory, type, content, ...(stateKey === undefined ? {} : { state_key: stateKey }) };
      const pdu = peer.event(room, event);
      room.last = eventId(pdu, room.version);
      room.depth = pdu.depth;
      return (await peer.send(luebeck.serverName, [pdu]))[room.last];
    };
    await send('m.room.message', { msgtype: 'm.text', body: 'before' });
    expect(at(await send('m.room.name', { name: 'Mine' }, ''), 'error')).toMatch(/rejected/);
    await send('m.room.message', { msgtype: 'm.text', body: 'after' });
    await bert.must('PUT', path('send/m.room.message/1'), { msgtype: 'm.text', body: 'newest' });
    await hamburg.start();

    const bodies = await eventually(
      async () => {
        const page = await anna.must('GET', path('messages?dir=b&limit=20'));
        return (at(page, 'chunk') as unknown[]).map((event) => at(event, 'content', 'body')).filter(Boolean);
      },
      (all) => all.includes('newest'),
    );
    expect(bodies).toEqual(['newest', 'after', 'before']);
    expect((await anna.ask('GET', path('state/m.room.name/'))).status).toBe(404);
  });
});
