import { eventId } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { HostedRoom } from '../support/peer-host.ts';
import { Peer } from '../support/peer.ts';
import type { PeerRoom } from '../support/peer.ts';

describe('A gap in the history of a room', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let peer: Peer;
  let third: Peer;
  let roomId: string;
  let room: PeerRoom;
  let mallory: string;
  let thea: string;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    bert = await server.register('bert');
    [peer, third] = await Promise.all([Peer.start(federation), Peer.start(federation)]);
    [mallory, thea] = [peer.userId('mallory'), third.userId('thea')];
  });
  afterAll(async () => {
    await Promise.all([peer.close(), third.close()]);
    await federation.close();
  });
  beforeEach(async () => {
    roomId = String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
    [peer.answer, third.answer] = [() => undefined, () => undefined];
    await third.join(server.serverName, roomId, thea);
    room = await peer.join(server.serverName, roomId, mallory);
  });

  const path = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const idOf = (pdu: Pdu): string => eventId(pdu, room.version);
  /** A message after others, signed by the server of its sender. */
  const message = (by: Peer, sender: string, body: string, previous: readonly string[], depth: number): Pdu => {
    const content = { msgtype: 'm.text', body };
    const {
      signatures: _signatures,
      hashes: _hashes,
      ...draft
    } = by.event(room, {
      sender,
      type: 'm.room.message',
      content,
    });
    return by.sign({ ...draft, prev_events: [...previous], depth } as UnsignedPdu, room.version);
  };
  const bodies = async (): Promise<unknown[]> => {
    const chunk = at(await bert.must('GET', path('messages?dir=b&limit=50')), 'chunk') as unknown[];
    return chunk.map((event) => at(event, 'content', 'body')).filter(Boolean);
  };
  const answers = (kind: string, asked: string, pdus: readonly Pdu[]): JsonObject | undefined =>
    asked.includes(`/${kind}/`) ? { [kind === 'backfill' ? 'pdus' : 'events']: [...pdus] } : undefined;

  it('is filled from another server where the one that sends has a gap itself', async () => {
    const { last, depth } = room;
    const first = message(third, thea, 'first', [last], depth + 1);
    const second = message(peer, mallory, 'second', [idOf(first)], depth + 2);
    const newest = message(peer, mallory, 'newest', [idOf(second)], depth + 3);
    peer.answer = (asked) => answers('get_missing_events', asked, [second]) ?? answers('backfill', asked, []);
    third.answer = (asked) =>
      asked.includes(`v=${encodeURIComponent(idOf(first))}`) ? answers('backfill', asked, [first]) : undefined;
    await peer.send(server.serverName, [newest]);
    expect(await bodies()).toEqual(['newest', 'second', 'first']);
  });

  it('is filled from another server when the one that sends can not be asked', async () => {
    const { last, depth } = room;
    const first = message(third, thea, 'first', [last], depth + 1);
    const newest = message(peer, mallory, 'newest', [idOf(first)], depth + 2);
    third.answer = (asked) =>
      asked.includes(`v=${encodeURIComponent(idOf(first))}`)
        ? answers('backfill', asked, [first])
        : answers('get_missing_events', asked, []);
    await peer.send(server.serverName, [newest]);
    expect(await bodies()).toEqual(['newest', 'first']);
  });

  it('is tried again when nobody could be asked, although nothing new comes, and after a restart', async () => {
    const { last, depth } = room;
    const [early, first] = [1, 2].map((n) => message(third, thea, `first ${String(n)}`, [last], depth + 1)) as [
      Pdu,
      Pdu,
    ];
    const second = message(third, thea, 'second', [idOf(early), idOf(first)], depth + 2);
    const newest = message(peer, mallory, 'newest', [idOf(second)], depth + 3);
    expect(JSON.stringify(await peer.send(server.serverName, [newest]))).toBe(JSON.stringify({ [idOf(newest)]: {} }));
    expect(await bodies()).toEqual([]);
    await server.stop();
    third.answer = (asked) => answers('backfill', asked, [second, first, early]);
    await server.start();
    const shown = await eventually(bodies, (all) => all.includes('newest'), 25_000);
    expect(shown).toHaveSize(4);
  }, 60_000);

  it('is found behind a hidden event', async () => {
    const eve = peer.userId('eve');
    const received: Pdu[] = [];
    peer.answer = (asked, body) => {
      if (!asked.includes('/v1/send/')) return undefined;
      received.push(...(at(body, 'pdus') as Pdu[]));
      return { pdus: {} };
    };
    room = await peer.join(server.serverName, roomId, eve);
    const { last, depth, state } = room;
    await bert.must('POST', path('ban'), { user_id: eve });
    const ban = await eventually(
      async () => received.find((pdu) => pdu.content['membership'] === 'ban'),
      (pdu) => pdu !== undefined,
    );
    const first = message(peer, mallory, 'first', [last], depth + 1);
    const hidden = message(peer, eve, 'hidden', [idOf(first)], depth + 2);
    const newest = message(peer, mallory, 'newest', [idOf(hidden), idOf(ban as Pdu)], depth + 3);
    const ids = state.map((pdu) => idOf(pdu));
    peer.answer = (asked) =>
      answers('get_missing_events', asked, [hidden]) ??
      (asked.includes('/state_ids/') ? { pdu_ids: ids, auth_chain_ids: ids } : undefined);
    await peer.send(server.serverName, [newest]);
    peer.answer = (asked) =>
      asked.includes(`v=${encodeURIComponent(idOf(hidden))}`) ? answers('backfill', asked, [hidden, first]) : undefined;
    expect(await bodies()).toEqual(['newest', 'first']);
  });

  it('is filled as far as somebody knows the state, who need not have what came before', async () => {
    const hosted = HostedRoom.make(peer);
    const say = (body: string): string =>
      hosted.id(hosted.say({ type: 'm.room.message', sender: hosted.creator, content: { msgtype: 'm.text', body } }));
    const secret = say('secret');
    const first = say('first');
    peer.answer = async (asked, body) => {
      if (asked.includes('/backfill/')) return { pdus: [hosted.events.get(first) as Pdu] };
      return asked.includes(encodeURIComponent(secret)) ? undefined : hosted.answer(asked, body);
    };
    roomId = hosted.roomId;
    await bert.must('POST', `client/v3/join/${encodeURIComponent(roomId)}?via=${peer.serverName}`, {});
    expect(await bodies()).toEqual(['first']);
  });
});
