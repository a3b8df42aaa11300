/** The fake rooms of the specs behave like the real ones, where a conference relies on it. */
import { pino } from 'pino';
import { createSigningKey, generateSeed } from '../../../federation/signing.ts';
import { openDatabase } from '../../../homeserver/database/database.ts';
import { migrate } from '../../../homeserver/database/migrate.ts';
import { Rooms } from '../../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../../homeserver/engine/stream/positions.ts';
import { testDatabase } from '../../support/database.ts';
import { FakeRooms } from '../../support/fakes/rooms.ts';
import { EVERYTHING } from '../../support/rights.ts';
import { ANNA, describeRooms } from './rooms.contract.ts';

const SEAT = 'org.example.seat';

describeRooms('the fakes', () => {
  const rooms = new FakeRooms();
  let count = 0;
  return Promise.resolve({
    rooms,
    create() {
      count += 1;
      const roomId = `!room${String(count)}:luebeck.example`;
      rooms.create(roomId, ANNA);
      rooms.allow(roomId, SEAT);
      return rooms.clock.settle().then(() => roomId);
    },
    setMember(roomId, userId, membership) {
      rooms.setMember(roomId, userId, membership, ANNA);
      return rooms.clock.settle();
    },
    close: () => Promise.resolve(),
  });
});

describeRooms('the real ones', async () => {
  const database = await testDatabase();
  const db = await openDatabase(database.url);
  await migrate(db);
  const rooms = await Rooms.open({
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
    profile: () => Promise.resolve({}),
    rights: EVERYTHING,
    log: pino({ level: 'silent' }),
  });
  return {
    rooms,
    create: () => rooms.create(ANNA, { powerLevels: { events: { [SEAT]: 0 } } }),
    async setMember(roomId, userId, membership) {
      if (membership === 'invite') return rooms.invite(roomId, ANNA, userId);
      const banned = (await rooms.membership(roomId, userId)) === 'ban';
      const kind = membership === 'ban' ? 'ban' : banned ? 'unban' : 'kick';
      await rooms.memberships.change(kind, { roomId, sender: ANNA, target: userId });
    },
    async close() {
      await db.close();
      await database.close();
    },
  };
});
