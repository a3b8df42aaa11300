import { pino } from 'pino';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { Rooms } from '../../homeserver/engine/rooms/rooms.ts';
import type { StoredEvent } from '../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { testDatabase } from '../support/database.ts';
import { EVERYTHING } from '../support/rights.ts';

const BERT = '@bert:luebeck.example';
const CLARA = '@clara:luebeck.example';

describe('Messages of one room that come at the same time', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let rooms: Rooms;
  let roomId: string;

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db);
    rooms = await Rooms.open({
      db,
      serverName: 'luebeck.example',
      key: createSigningKey(generateSeed(), 'a'),
      sender: {
        write: () => undefined,
        durableEdu: () => Promise.resolve(),
        flush: () => undefined,
        edu: () => undefined,
      },
      positions: await Positions.open(db),
      notifier: new Notifier(),
      profile: () => Promise.resolve({}),
      rights: EVERYTHING,
      log: pino({ level: 'silent' }),
    });
    roomId = await rooms.create(BERT, {});
  });

  afterAll(async () => {
    await db.close();
    await database.close();
  });

  function say(body: string, sender = BERT, transactionId?: string): Promise<StoredEvent> {
    return rooms.send(roomId, sender, {
      type: 'm.room.message',
      content: { body },
      ...(transactionId === undefined ? {} : { transactionId, deviceId: 'DEVICE' }),
    });
  }

  it('form one line in their order, and are told of in that order', async () => {
    const told: string[] = [];
    const stop = rooms.onEvent((event) => told.push(event.eventId));
    const sent = await Promise.all(Array.from({ length: 130 }, (_, i) => say(`message ${String(i)}`)));
    stop();
    expect(told).toEqual(sent.map((event) => event.eventId));
    for (const [i, event] of sent.entries()) {
      const before = sent[i - 1];
      if (!before) continue;
      expect(event.pdu.prev_events).toEqual([before.eventId]);
      expect(event.pdu.depth).toBe(before.pdu.depth + 1);
      expect(event.position).toBeGreaterThan(before.position);
    }
    expect(await rooms.extremities(roomId)).toEqual([sent.at(-1)?.eventId ?? '']);
    const page = await rooms.range(roomId, { newestFirst: true, limit: 130 });
    expect(page.map((event) => event.eventId).reverse()).toEqual(told);
  });

  it('do not fail with one among them that is not allowed', async () => {
    const results = await Promise.allSettled([say('one'), say('two'), say('mine', CLARA), say('three')]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    const stored = await rooms.range(roomId, { newestFirst: true, limit: 3 });
    expect(stored.map(({ pdu }) => String(pdu.content['body']))).toEqual(['three', 'two', 'one']);
  });

  it('are sent once for each transaction id, and the others among them all the same', async () => {
    const first = await say('once', BERT, 'a');
    const [other, again, twice, alike] = await Promise.all([
      say('something else', BERT, 'b'),
      say('once', BERT, 'a'),
      say('twice', BERT, 'c'),
      say('twice', BERT, 'c'),
    ]);
    expect(again.eventId).toBe(first.eventId);
    expect(alike.eventId).toBe(twice.eventId);
    const stored = await rooms.range(roomId, { newestFirst: true, limit: 3 });
    expect(stored.map(({ eventId }) => eventId)).toEqual([twice.eventId, other.eventId, first.eventId]);
  });

  it('keep their place between changes of the state', async () => {
    const name = (text: string): Promise<StoredEvent> =>
      rooms.send(roomId, BERT, { type: 'm.room.name', stateKey: '', content: { name: text } });
    const sent = await Promise.all([say('1'), name('A'), say('2'), say('3'), name('B'), say('4')]);
    const stored = await rooms.range(roomId, { newestFirst: false, limit: 6, after: (sent[0]?.position ?? 0) - 1 });
    expect(stored.length).toBe(6);
    for (const [i, event] of stored.entries()) {
      if (i > 0) expect(event.pdu.prev_events).toEqual([stored[i - 1]?.eventId ?? '']);
    }
    expect(String((await rooms.stateEvent(roomId, 'm.room.name', ''))?.pdu.content['name'])).toBe('B');
  });
});
