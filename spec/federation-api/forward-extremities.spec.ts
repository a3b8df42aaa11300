import { eventId } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { HostedRoom } from '../support/peer-host.ts';
import { Peer } from '../support/peer.ts';

describe('The end of a room', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let peer: Peer;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    bert = await server.register('bert');
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  const inRoom = (roomId: string, rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;

  /** What an event cites that somebody of ours says now. */
  async function endOf(roomId: string, received: readonly Pdu[]): Promise<string[]> {
    const body = String(Math.random());
    await bert.must('PUT', inRoom(roomId, `send/m.room.message/${body}`), { msgtype: 'm.text', body });
    const said = await eventually(
      async () => received.find((pdu) => pdu.content['body'] === body),
      (pdu) => pdu !== undefined,
    );
    return [...(said?.prev_events ?? [])].sort();
  }

  it('has nothing in it that comes before a hidden event on which it rests', async () => {
    const created = await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' });
    const roomId = String(at(created, 'room_id'));
    const [mallory, eve] = [peer.userId('mallory'), peer.userId('eve')];
    const received: Pdu[] = [];
    peer.answer = (path, body) => {
      if (path.includes('/v1/send/')) received.push(...(at(body, 'pdus') as Pdu[]));
      return path.includes('/v1/send/') ? { pdus: {} } : undefined;
    };
    await peer.join(server.serverName, roomId, eve);
    const room = await peer.join(server.serverName, roomId, mallory);
    const say = (sender: string, previous: readonly string[], depth: number): Pdu => {
      const event = peer.event(room, { sender, type: 'm.room.message', content: { body: 'hello' } });
      const { signatures: _signatures, hashes: _hashes, ...draft } = event;
      return peer.sign({ ...draft, prev_events: [...previous], depth } as UnsignedPdu, room.version);
    };
    const idOf = (pdu: Pdu): string => eventId(pdu, room.version);

    // Bert bans Eve while Mallory, who does not know of it, says something, and Eve after it.
    const { last, depth } = room;
    await bert.must('POST', inRoom(roomId, 'ban'), { user_id: eve });
    const ban = await eventually(
      async () => received.find((pdu) => pdu.content['membership'] === 'ban'),
      (pdu) => pdu !== undefined,
    );
    const early = say(mallory, [last], depth + 1);
    const hidden = say(eve, [idOf(early)], depth + 2);
    await peer.send(server.serverName, [early, hidden]);
    const shown = await bert.ask('GET', inRoom(roomId, `event/${encodeURIComponent(idOf(hidden))}`));
    expect(shown.status).withContext('of Eve').toBe(404);
    const newest = say(mallory, [idOf(hidden), idOf(ban as Pdu)], depth + 3);
    await peer.send(server.serverName, [newest]);

    expect(await endOf(roomId, received)).toEqual([idOf(newest)]);
  });

  it('has nothing in it that comes late, before what is there', async () => {
    const room = HostedRoom.make(peer);
    const derek = room.enter('derek');
    peer.answer = (path, body): Promise<JsonObject | undefined> => room.answer(path, body);
    const say = (): Pdu => room.say({ type: 'm.room.message', sender: derek, content: { body: 'hello' } });
    const first = say();
    // Two events on a branch of their own, which is shorter than the one that Bert comes in by.
    const [branch, tip] = [say(), say()];
    const { signatures: _signatures, hashes: _hashes, ...draft } = branch;
    room.add(peer.sign({ ...draft, content: { body: 'on the other branch' } } as UnsignedPdu, room.version));
    expect(branch.prev_events).toEqual([room.id(first)]);
    for (let count = 0; count < 4; count += 1) say();
    await bert.must('POST', `client/v3/join/${encodeURIComponent(room.roomId)}?via=${peer.serverName}`, {});
    await bert.must('GET', inRoom(room.roomId, 'members'));
    const join = room.last;
    await peer.send(server.serverName, [tip]);
    await peer.send(server.serverName, [branch]);

    expect(await endOf(room.roomId, room.received)).toEqual([join, room.id(tip)].sort());
  });
});
