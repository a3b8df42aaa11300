import { readdir } from 'node:fs/promises';
import { createLog } from '../../homeserver/base/log.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { emptyDatabase } from '../support/database.ts';

const FOLDER = new URL('../../homeserver/database/migrations/', import.meta.url);
/** From when several people took the same number. Names are recorded in databases, so these stay. */
const SAME_NUMBER: readonly string[] = [
  '053-guest-link-entries',
  '053-meeting-transactions',
  '056-guest-browsers',
  '056-unplaced-events-of-forks',
  '057-room-entries',
  '057-rooms-of-servers',
];

describe('Migrations', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>;

  beforeEach(async () => {
    database = await emptyDatabase();
  });
  afterEach(() => database.close());

  async function names(): Promise<string[]> {
    return (await readdir(FOLDER)).map((file) => file.replace(/\.ts$/, '')).sort();
  }

  it('run once when two processes start at the same time', async () => {
    const logged: string[] = [];
    const log = createLog('info', { write: (line) => void logged.push(line) });
    const both = await Promise.all([openDatabase(database.url), openDatabase(database.url)]);
    await Promise.all(both.map((db) => migrate(db, log)));
    const run = logged.map((line) => (JSON.parse(line) as { migration: string }).migration);
    expect(run).toEqual(await names());
    const recorded = await both[0].query<{ name: string }>('SELECT name FROM migrations ORDER BY name');
    expect(recorded.map(({ name }) => name)).toEqual(await names());
    for (const db of both) await db.close();
  });

  it('leave nothing behind when one of them fails, and run when its cause is gone', async () => {
    const db = await openDatabase(database.url);
    const tables = async (): Promise<unknown[]> =>
      db.query('SELECT tablename FROM pg_tables WHERE schemaname = current_schema()');
    await db.query('CREATE TABLE reports (in_the_way text)');
    await expectAsync(migrate(db)).toBeRejectedWithError(/reports/);
    expect((await tables()).length).toBe(1);
    await db.query('DROP TABLE reports');
    await migrate(db);
    expect((await tables()).length).toBeGreaterThan(30);
    await db.close();
  });

  it('go on where an earlier version of the server has ended', async () => {
    const db = await openDatabase(database.url);
    await migrate(db);
    // As Sequelize made the table, and without the newest migrations.
    await db.query('DROP TABLE migrations');
    await db.query('CREATE TABLE migrations (name VARCHAR(255) NOT NULL UNIQUE, PRIMARY KEY (name))');
    const done = (await names()).filter((name) => name !== '042-reports');
    await db.query('INSERT INTO migrations SELECT unnest($1::text[])', [done]);
    await db.query('DROP TABLE reports');
    await migrate(db);
    await expectAsync(db.query('SELECT report_id FROM reports')).toBeResolvedTo([]);
    await db.close();
  });

  it('have each a number of its own', async () => {
    const byNumber = Map.groupBy(await names(), (name) => name.slice(0, 3));
    const shared = [...byNumber.values()].filter((list) => list.length > 1).flat();
    expect(shared).toEqual([...SAME_NUMBER]);
    for (const name of await names()) expect(name).toMatch(/^[0-9]{3}-[a-z0-9-]+$/);
  });
});
