/** A23: a server can not make a room dear by forks of its history. */
import { eventId } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import type { PeerRoom } from '../support/peer.ts';
import { changedEvent, forks as forksOf } from './kit/hostile-events.ts';

const FORKS = 90;
const LONG_TEST_MS = 90_000;
const FORK = 'org.example.fork';

describe('A23: a server that makes forks of the history of a room', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let peer: Peer;
  let mallory: string;
  let roomId: string;
  let room: PeerRoom;
  let received: Pdu[];

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    bert = await server.register('bert');
    peer = await Peer.start(federation);
    mallory = peer.userId('mallory');
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  const path = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const idOf = (pdu: Pdu): string => eventId(pdu, room.version);
  /** A room that a peer is in, with levels as given. */
  async function enter(levels: JsonObject, options: JsonObject = {}): Promise<void> {
    received = [];
    peer.answer = (asked, body) => {
      if (!asked.includes('/v1/send/')) return undefined;
      received.push(...(at(body, 'pdus') as Pdu[]));
      return { pdus: {} };
    };
    const created = await bert.must('POST', 'client/v3/createRoom', {
      preset: 'public_chat',
      power_level_content_override: levels,
      ...options,
    });
    roomId = String(at(created, 'room_id'));
    room = await peer.join(server.serverName, roomId, mallory);
  }
  const forks = (count: number, previous = [room.last], depth = room.depth + 1): Pdu[] =>
    forksOf(peer, room, { sender: mallory, type: FORK }, count, { previous, depth });
  async function send(pdus: readonly Pdu[]): Promise<void> {
    for (let from = 0; from < pdus.length; from += 50) {
      await peer.send(server.serverName, pdus.slice(from, from + 50));
    }
  }
  /** An event that somebody of ours sends now. */
  async function said(): Promise<Pdu> {
    const body = String(Math.random());
    await bert.must('PUT', path(`send/m.room.message/${body}`), { msgtype: 'm.text', body });
    const pdu = await eventually(
      async () => received.find(({ content }) => content['body'] === body),
      (found) => found !== undefined,
    );
    return pdu as Pdu;
  }
  const taken = async (): Promise<number> => {
    const state = (await bert.must('GET', path('state'))) as unknown[];
    return state.filter((event) => at(event, 'type') === FORK).length;
  };

  it(
    'has them merged: the next event of ours is the one end of the room, and all of their state counts',
    async () => {
      await enter({ events: { [FORK]: 0 } });
      await send(forks(FORKS));
      const message = await said();
      expect((await said()).prev_events).toEqual([idOf(message)]);
      expect(await taken()).toBe(FORKS);
    },
    LONG_TEST_MS,
  );

  it(
    'has them merged where they come into the room by joins and leaves',
    async () => {
      await enter({});
      const inRoom = encodeURIComponent(roomId);
      const users = Array.from({ length: 50 }, (_, index) => peer.userId(`m${String(index)}`));
      const joins: Pdu[] = [];
      for (const userId of users) {
        const made = await peer.ask(
          server.serverName,
          'GET',
          `v1/make_join/${inRoom}/${encodeURIComponent(userId)}?ver=${room.version.id}`,
        );
        const template = at(made, 'body', 'event') as UnsignedPdu;
        joins.push(peer.sign({ ...template, origin_server_ts: Date.now() } as UnsignedPdu, room.version));
      }
      for (const join of joins) {
        const sent = await peer.ask(
          server.serverName,
          'PUT',
          `v2/send_join/${inRoom}/${encodeURIComponent(idOf(join))}`,
          join,
        );
        expect(sent.ok).toBeTrue();
      }
      const message = await said();
      expect((await said()).prev_events).toEqual([idOf(message)]);
      const members = at(await bert.must('GET', path('joined_members')), 'joined') as object;
      expect(Object.keys(members).length).toBe(users.length + 2);
    },
    LONG_TEST_MS,
  );

  it(
    'has them merged where they stand in a gap',
    async () => {
      await enter({ events: { [FORK]: 0 } });
      const leaves = forks(80);
      const inner = Array.from({ length: 4 }, (_, index) => {
        const previous = leaves.slice(index * 20, index * 20 + 20).map(idOf);
        return forks(1, previous, room.depth + 2 + index)[0] as Pdu;
      });
      const [top] = forks(1, inner.map(idOf), room.depth + 10) as [Pdu];
      peer.answer = (asked, body): JsonObject | undefined => {
        if (asked.includes('/get_missing_events/')) return { events: inner };
        if (asked.includes('/backfill/')) return { pdus: [...inner, ...leaves] };
        if (!asked.includes('/v1/send/')) return undefined;
        received.push(...(at(body, 'pdus') as Pdu[]));
        return { pdus: {} };
      };
      await send([top]);
      expect(await taken()).toBe(85);
      const message = await said();
      expect((await said()).prev_events).toEqual([idOf(message)]);
    },
    LONG_TEST_MS,
  );

  it(
    'shows nobody what merges them, and gives it to servers that ask',
    async () => {
      await enter({ events: { [FORK]: 0 } });
      const since = at(await bert.must('GET', 'client/v3/sync'), 'next_batch');
      await send(forks(FORKS));
      const message = await said();
      const [previous] = message.prev_events as [string];
      const asked = await peer.ask(server.serverName, 'GET', `v1/event/${encodeURIComponent(previous)}`);
      const known = at(asked, 'body', 'pdus', 0, 'type');
      const types = new Set<unknown>([known]);
      const missing = await peer.ask(server.serverName, 'POST', `v1/get_missing_events/${encodeURIComponent(roomId)}`, {
        earliest_events: [room.last],
        latest_events: [idOf(message)],
        limit: 20,
        min_depth: 0,
      });
      for (const event of at(missing, 'body', 'events') as unknown[]) types.add(at(event, 'type'));
      expect(types).toContain('org.matrix.dummy_event');

      const page = await bert.must('GET', path('messages?dir=b&limit=500'));
      const synced = await bert.must('GET', `client/v3/sync?since=${String(since)}`);
      const shown = [
        ...(at(page, 'chunk') as unknown[]),
        ...(at(synced, 'rooms', 'join', roomId, 'timeline', 'events') as unknown[]),
      ];
      expect(shown.map((event) => at(event, 'event_id'))).toContain(idOf(message));
      expect(shown.map((event) => at(event, 'type'))).not.toContain('org.matrix.dummy_event');
    },
    LONG_TEST_MS,
  );

  it(
    'has no more of them taken where nobody of ours may merge them, until somebody else does',
    async () => {
      await enter({ events_default: 50 }, { room_version: '11' });
      // Mallory alone may speak.
      const levels = at(await bert.must('GET', path('state/m.room.power_levels')), 'users') as JsonObject;
      const content = {
        ...((await bert.must('GET', path('state/m.room.power_levels'))) as JsonObject),
        users: { ...levels, [bert.userId]: 0, [mallory]: 100 },
        users_default: 0,
        events: { [FORK]: 0 },
      };
      await bert.must('PUT', path('state/m.room.power_levels'), content);
      const demotion = await eventually(
        async () => received.find(({ type }) => type === 'm.room.power_levels'),
        (found) => found !== undefined,
      );
      room.state.push(demotion as Pdu);
      [room.last, room.depth] = [idOf(demotion as Pdu), (demotion as Pdu).depth];

      const all = forks(40);
      await send(all);
      const before = await taken();
      expect(before).toBeGreaterThan(10);
      expect(before).toBeLessThan(all.length);
      expect((await bert.ask('PUT', path('send/m.room.message/1'), { body: 'no' })).status).toBe(403);

      const shown = new Set(
        ((await bert.must('GET', path('state'))) as unknown[]).map((event) => String(at(event, 'event_id'))),
      );
      const ends = all.map(idOf).filter((id) => shown.has(id));
      const said = { sender: mallory, type: 'm.room.message', content: { body: 'merged' } };
      await send([changedEvent(peer, room, said, { prev_events: ends, depth: room.depth + 2 })]);
      const later = await eventually(taken, (count) => count > before, 30_000);
      expect(later).toBeGreaterThan(before);
    },
    LONG_TEST_MS,
  );

  it(
    'is made to wait where each of them costs much, and holds up nobody else',
    async () => {
      const keys = 500;
      await enter({ events: { [FORK]: 0 } });
      const old = [room.last];
      const { depth } = room;
      for (let index = 0; index < keys; index += 1) {
        await bert.must('PUT', path(`state/org.example.state/${String(index)}`), { index });
      }
      const all = forks(300, old, depth + 1);
      await send(all);
      const before = await taken();
      expect(before).withContext('what is within its share').toBeGreaterThan(100);
      expect(before).withContext('what is taken at once').toBeLessThan(all.length);

      const message = await said();
      [room.last, room.depth] = [idOf(message), message.depth];
      const next = peer.event(room, { sender: mallory, type: 'm.room.message', content: { body: 'at the end' } });
      await send([next]);
      expect((await bert.ask('GET', path(`event/${encodeURIComponent(idOf(next))}`))).status).toBe(200);
      const later = await eventually(taken, (count) => count > before, 30_000);
      expect(later).withContext('what is taken later').toBeGreaterThan(before);
    },
    LONG_TEST_MS,
  );
});
