import { pino } from 'pino';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { Rooms } from '../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { testDatabase } from '../support/database.ts';
import { EVERYTHING } from '../support/rights.ts';

const BERT = '@bert:luebeck.example';
const CLARA = '@clara:luebeck.example';

describe('Rooms', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let rooms: Rooms;

  async function open(): Promise<Rooms> {
    return Rooms.open({
      db,
      serverName: 'luebeck.example',
      key: createSigningKey(generateSeed(), 'a'),
      // Nobody else is in these rooms, so nothing is ever sent.
      sender: {
        write: () => undefined,
        durableEdu: () => Promise.resolve(),
        flush: () => undefined,
        edu: () => undefined,
      },
      positions: await Positions.open(db),
      notifier: new Notifier(),
      profile: (userId) => Promise.resolve({ displayname: userId.slice(1, userId.indexOf(':')) }),
      rights: EVERYTHING,
      log: pino({ level: 'silent' }),
    });
  }

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db);
    rooms = await open();
  });

  afterAll(async () => {
    await db.close();
    await database.close();
  });

  it('are created in version 12, named by the hash of their create event, with the creator inside', async () => {
    const roomId = await rooms.create(BERT, { name: 'Harbour round' });
    const create = await rooms.stateEvent(roomId, 'm.room.create', '');
    expect(roomId).toBe(`!${create?.eventId.slice(1) ?? ''}`);
    expect((await rooms.version(roomId))?.id).toBe('12');
    expect(await rooms.membership(roomId, BERT)).toBe('join');
    expect(await rooms.powerLevel(roomId, BERT)).toBe(Infinity);
  });

  it('that are created at the same time by the same person are different rooms', async () => {
    const roomIds = await Promise.all([rooms.create(BERT, {}), rooms.create(BERT, {}), rooms.create(BERT, {})]);
    expect(new Set(roomIds).size).toBe(3);
  });

  it('refuse the messages of somebody who is not inside, and the join of somebody who is not invited', async () => {
    const roomId = await rooms.create(BERT, {});
    const message = { type: 'm.room.message', content: { body: 'hello' } };
    await expectAsync(rooms.send(roomId, CLARA, message)).toBeRejectedWith(
      jasmine.objectContaining({ errcode: 'M_FORBIDDEN' }),
    );
    await expectAsync(rooms.join(CLARA, roomId)).toBeRejectedWith(jasmine.objectContaining({ errcode: 'M_FORBIDDEN' }));
  });

  it('refuse state that needs a level which the sender does not have', async () => {
    const roomId = await rooms.create(BERT, { invite: [CLARA] });
    await rooms.join(CLARA, roomId);
    const name = { type: 'm.room.name', stateKey: '', content: { name: 'Mine' } };
    await expectAsync(rooms.send(roomId, CLARA, name)).toBeRejectedWith(
      jasmine.objectContaining({ errcode: 'M_FORBIDDEN' }),
    );
  });

  it('send the same transaction of a device once', async () => {
    const roomId = await rooms.create(BERT, {});
    const message = { type: 'm.room.message', content: { body: 'once' }, deviceId: 'LAPTOP', transactionId: 't1' };
    const [first, second] = await Promise.all([rooms.send(roomId, BERT, message), rooms.send(roomId, BERT, message)]);
    expect(second.eventId).toBe(first.eventId);
  });

  it('are found again as they were after a restart', async () => {
    const roomId = await rooms.create(BERT, { name: 'Kept', invite: [CLARA] });
    const sent = await rooms.send(roomId, BERT, { type: 'm.room.message', content: { body: 'kept' } });
    const again = await open();
    expect(await again.membership(roomId, CLARA)).toBe('invite');
    expect(await again.extremities(roomId)).toEqual([sent.eventId]);
    const page = await again.messages(roomId, BERT, { dir: 'b', limit: 1 });
    expect(page.events.map((event) => event.eventId)).toEqual([sent.eventId]);
  });
});
