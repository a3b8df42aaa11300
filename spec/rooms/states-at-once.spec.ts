import { stateKey } from '../../federation/state-view.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { StateStore } from '../../homeserver/engine/rooms/state-store.ts';
import { testDatabase } from '../support/database.ts';

describe('States of many rooms that are made at once', () => {
  it('are numbered without a second connection while a transaction holds one', async () => {
    const database = await testDatabase();
    const db = await openDatabase(database.url, { patienceMs: 5_000 });
    await migrate(db);
    const states = new StateStore(db);
    // More than there are connections.
    const made = Array.from({ length: 40 }, (_, index) =>
      db.transaction(async (tx) => {
        await db.query('SELECT pg_sleep(0.01)', [], tx);
        const map = new Map([[stateKey('m.room.create', ''), `$event${String(index)}`]]);
        return states.derive(tx, `!room${String(index)}`, undefined, map);
      }),
    );
    const groups = (await Promise.all(made)).map(({ group }) => group);
    expect(new Set(groups).size).toBe(40);
    await db.close();
    await database.close();
  }, 30_000);
});
