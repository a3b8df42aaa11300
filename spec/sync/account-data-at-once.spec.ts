import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { AccountData } from '../../homeserver/features/account-data/account-data.ts';
import { testDatabase } from '../support/database.ts';

describe('Account data that many write at once', () => {
  it('waits for no second connection while it holds one', async () => {
    const database = await testDatabase();
    const db = await openDatabase(database.url, { patienceMs: 5_000 });
    await migrate(db);
    const accountData = new AccountData({
      db,
      positions: await Positions.open(db),
      notifier: new Notifier(),
      isGuest: async () => (await db.query('SELECT pg_sleep(0.01)')).length === 0,
    });
    // More than there are connections.
    const userIds = Array.from({ length: 40 }, (_, index) => `@person${String(index)}:luebeck.example`);
    const written = userIds.map((userId) => accountData.put(userId, '', 'org.example.kept', { by: userId }));
    await expectAsync(Promise.all(written)).toBeResolved();
    const kept = await accountData.ofUsers(userIds, 'org.example.kept');
    expect([...kept.keys()].sort()).toEqual(userIds.toSorted());
    await db.close();
    await database.close();
  }, 30_000);
});
