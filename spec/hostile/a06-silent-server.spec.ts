/** A6: a server that does not answer holds up nobody but itself. */
import { eventId } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { HostedRoom } from '../support/peer-host.ts';
import { Peer } from '../support/peer.ts';
import type { PeerRoom } from '../support/peer.ts';
import { changedEvent, unconnected as unconnectedEvent, unfounded as unfoundedEvent } from './kit/hostile-events.ts';

/** More than an answer takes on a busy machine, and less than a server has that is asked. */
const SOON_MS = 7_000;
const LONG_TEST_MS = 90_000;

describe('A6: a server that sends events and does not answer what it is asked about them', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let clara: TestUser;
  let silent: Peer;
  let honest: Peer;
  let mallory: string;
  let thea: string;
  let roomId: string;
  let room: PeerRoom;
  let honestRoom: PeerRoom;
  /** Questions that the silent server has been asked and not answered. */
  let unanswered: string[];
  /** What it answers, as long as it does. */
  let answer: (path: string) => JsonObject | undefined;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    [bert, clara] = await Promise.all([server.register('bert'), server.register('clara')]);
    honest = await Peer.start(federation);
    thea = honest.userId('thea');
  });
  afterAll(async () => {
    await honest.close();
    await federation.close();
  });
  // A name of its own for each: what one owes is remembered.
  beforeEach(async () => {
    silent = await Peer.start(federation);
    mallory = silent.userId('mallory');
    roomId = String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
    await clara.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    honestRoom = await honest.join(server.serverName, roomId, thea);
    room = await silent.join(server.serverName, roomId, mallory);
    unanswered = [];
    answer = () => undefined;
    silent.answer = (path) => {
      if (path.includes('/v1/send/')) return { pdus: {} };
      const given = answer(path);
      if (given) return given;
      unanswered.push(path);
      return new Promise(() => undefined);
    };
    honest.answer = (path) => (path.includes('/v1/send/') ? { pdus: {} } : undefined);
  });
  afterEach(() => silent.close());

  const path = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const idOf = (pdu: Pdu): string => eventId(pdu, room.version);
  const said = (body: string): { sender: string; type: string; content: JsonObject } => ({
    sender: mallory,
    type: 'm.room.message',
    content: { msgtype: 'm.text', body },
  });
  const message = (body: string, change: Partial<UnsignedPdu> = {}): Pdu =>
    changedEvent(silent, room, said(body), change);
  const unfounded = (body: string): Pdu => unfoundedEvent(silent, room, said(body));
  const unconnected = (body: string): Pdu => unconnectedEvent(silent, room, said(body));
  const bodies = async (): Promise<unknown[]> => {
    const chunk = at(await bert.must('GET', path('messages?dir=b&limit=50')), 'chunk') as unknown[];
    return chunk.map((event) => at(event, 'content', 'body')).filter(Boolean);
  };
  const asked = (): Promise<number> =>
    eventually(
      () => Promise.resolve(unanswered.length),
      (count) => count > 0,
    );
  /** Whether something happens soon. */
  async function soon<T>(promise: Promise<T>): Promise<T | 'late'> {
    const { promise: late, resolve } = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => resolve('late'), SOON_MS);
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  for (const [what, made] of [
    ['rests on unknown events', unfounded],
    ['comes after unknown events', unconnected],
  ] as const) {
    it(
      `locks no room by an event that ${what}: who moderates, speaks or sends is served meanwhile`,
      async () => {
        let isDone = false;
        const sending = silent.send(server.serverName, [made('bad')]).finally(() => {
          isDone = true;
        });
        await asked();
        expect(await soon(clara.must('PUT', path('send/m.room.message/1'), { msgtype: 'm.text', body: 'mine' })))
          .withContext('a message')
          .not.toBe('late');
        expect(await soon(bert.must('POST', path('kick'), { user_id: clara.userId })))
          .withContext('a kick')
          .not.toBe('late');
        expect(await soon(bert.must('POST', path('ban'), { user_id: clara.userId })))
          .withContext('a ban')
          .not.toBe('late');
        const theirs = honest.event(honestRoom, { sender: thea, type: 'm.room.message', content: { body: 'theirs' } });
        expect(await soon(honest.send(server.serverName, [theirs])))
          .withContext('an event of another server')
          .not.toBe('late');
        expect(isDone).withContext('whether the silent server has its answer').toBeFalse();
        expect((await bodies()).sort()).toEqual(['mine', 'theirs']);
        await sending;
      },
      LONG_TEST_MS,
    );
  }

  it(
    'has few questions asked and soon an answer itself, however many events it sends',
    async () => {
      const before = honest.asked.length;
      const started = Date.now();
      const pdus = Array.from({ length: 50 }, (_, count) => (count % 2 === 0 ? unfounded : unconnected)(String(count)));
      expect(await silent.send(server.serverName, pdus)).toEqual(
        Object.fromEntries(pdus.map((pdu) => [idOf(pdu), {}])) as JsonObject,
      );
      expect(Date.now() - started).toBeLessThan(25_000);
      expect(unanswered.length).withContext('to itself').toBeLessThan(10);
      expect(honest.asked.length - before)
        .withContext('to another server')
        .toBeLessThan(30);
    },
    LONG_TEST_MS,
  );

  it(
    'does not keep back its own events that need nothing, nor those of another room',
    async () => {
      const other = String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
      const otherRoom = await silent.join(server.serverName, other, mallory);
      const elsewhere = silent.event(otherRoom, {
        sender: mallory,
        type: 'm.room.message',
        content: { body: 'there' },
      });
      let isDone = false;
      const sending = silent.send(server.serverName, [unconnected('bad'), message('good'), elsewhere]).finally(() => {
        isDone = true;
      });
      await asked();
      const there = (): Promise<number> =>
        bert
          .ask('GET', `client/v3/rooms/${encodeURIComponent(other)}/event/${encodeURIComponent(idOf(elsewhere))}`)
          .then(({ status }) => status);
      await eventually(there, (status) => status === 200, SOON_MS);
      expect(isDone).toBeFalse();
      await sending;
      expect(await bodies()).toEqual(['good']);
    },
    LONG_TEST_MS,
  );

  it(
    'has its events taken in their order when what comes before them is given late',
    async () => {
      const before = message('before');
      const first = message('first', { prev_events: [idOf(before)], depth: room.depth + 2 });
      const second = message('second', { prev_events: [idOf(first)], depth: room.depth + 3 });
      let give: (() => void) | undefined;
      silent.answer = (asking) => {
        if (!asking.includes('/get_missing_events/')) return undefined;
        return new Promise((resolve) => {
          give = () => resolve({ events: [before] });
        });
      };
      const sending = silent.send(server.serverName, [first, second]);
      await eventually(
        () => Promise.resolve(give),
        (waiting) => waiting !== undefined,
      );
      await bert.must('PUT', path('send/m.room.message/meanwhile'), { msgtype: 'm.text', body: 'meanwhile' });
      give?.();
      await sending;
      const ids = [before, first, second].map(idOf);
      const chunk = at(await bert.must('GET', path('messages?dir=f&limit=50')), 'chunk') as unknown[];
      const order = chunk.map((event) => at(event, 'event_id')).filter((id) => ids.includes(String(id)));
      expect(order).toEqual(ids);
      expect(await bodies()).toContain('meanwhile');
    },
    LONG_TEST_MS,
  );

  it(
    'loses nothing: what could not be had is asked for again when it answers',
    async () => {
      const forks = ['one', 'two'].map((name) => {
        const before = message(`before ${name}`);
        return { before, after: message(`after ${name}`, { prev_events: [idOf(before)], depth: room.depth + 2 }) };
      });
      await silent.send(
        server.serverName,
        forks.map(({ after }) => after),
      );
      expect(await bodies()).toEqual([]);
      silent.answer = (asking, body) => {
        const latest = at(body, 'latest_events', 0);
        const fork = forks.find(({ after }) => idOf(after) === latest);
        return asking.includes('/get_missing_events/') && fork ? { events: [fork.before] } : undefined;
      };
      const shown = await eventually(bodies, (all) => all.length === 4, 60_000);
      expect([...shown].sort()).toEqual(['after one', 'after two', 'before one', 'before two']);
    },
    LONG_TEST_MS,
  );

  it(
    'does not keep who reads the history waiting',
    async () => {
      const hosted = HostedRoom.make(silent);
      const derek = hosted.enter('derek');
      hosted.say({ type: 'm.room.message', sender: derek, content: { body: 'early' } });
      silent.answer = (asking, body) => hosted.answer(asking, body);
      await clara.must('POST', `client/v3/join/${encodeURIComponent(hosted.roomId)}?via=${silent.serverName}`, {});
      await clara.must('GET', `client/v3/rooms/${encodeURIComponent(hosted.roomId)}/members`);
      silent.answer = () => new Promise(() => undefined);
      const reading = clara.ask('GET', `client/v3/rooms/${encodeURIComponent(hosted.roomId)}/messages?dir=b&limit=50`);
      const writing = clara.ask('PUT', `client/v3/rooms/${encodeURIComponent(hosted.roomId)}/send/m.room.message/1`, {
        body: 'mine',
      });
      expect(at(await soon(writing), 'status')).toBe(200);
      const patience = new Promise((resolve) => setTimeout(() => resolve('late'), 20_000));
      expect(at(await Promise.race([reading, patience]), 'status')).toBe(200);
    },
    LONG_TEST_MS,
  );
});
