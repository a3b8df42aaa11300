import { openDatabase } from '../../homeserver/database/database.ts';
import type { Database, Tx } from '../../homeserver/database/database.ts';
import { isTransient, isUniqueViolation } from '../../homeserver/database/errors.ts';
import { emptyDatabase } from '../support/database.ts';

describe('Statements that come again', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  let db: Database;

  beforeAll(async () => {
    database = await emptyDatabase();
    db = await openDatabase(database.url);
    await db.query('CREATE TABLE things (name text PRIMARY KEY, size bigint)');
  });

  afterAll(async () => {
    await db.close();
    await database.close();
  });

  async function prepared(): Promise<string[]> {
    const rows = await db.query<{ statement: string }>('SELECT statement FROM pg_prepared_statements');
    return rows.map((row) => row.statement);
  }

  it('are prepared, and give the same as the first time', async () => {
    const sql = 'SELECT unnest($1::text[]) AS name, $2::bigint AS size';
    for (let size = 0; size < 5; size++) {
      const rows = await db.query<{ name: string | null; size: number }>(sql, [['a', null, 'c,"d'], size]);
      expect(rows.map((row) => [row.name, row.size])).toEqual([
        ['a', size],
        [null, size],
        ['c,"d', size],
      ]);
    }
    expect(await prepared()).toContain(sql);
  });

  it('are not prepared when their best plan depends on what is asked', async () => {
    const sql = "SELECT name FROM things WHERE name = 'of nobody' ORDER BY size LIMIT $1";
    for (let limit = 1; limit < 5; limit++) expect(await db.query(sql, [limit])).toEqual([]);
    expect(await prepared()).not.toContain(sql);
  });

  it('fail with the code of the database and leave the connection usable', async () => {
    const sql = 'INSERT INTO things (name, size) VALUES ($1, $2)';
    const errors: unknown[] = [];
    for (const name of ['a', 'b', 'a', 'c']) {
      await db.query(sql, [name, 1]).catch((error: unknown) => errors.push(error));
    }
    expect(errors.map(isUniqueViolation)).toEqual([true]);
    expect((await db.query('SELECT name FROM things WHERE size = 1')).length).toBe(3);
  });

  it('do not run in a transaction that is over', async () => {
    const late = await db.transaction(async (tx) => {
      await db.query('INSERT INTO things (name) VALUES ($1)', ['in time'], tx);
      return () => db.query('INSERT INTO things (name) VALUES ($1)', ['too late'], tx);
    });
    await expectAsync(late()).toBeRejectedWithError(/over/);
    expect((await db.query(`SELECT 1 FROM things WHERE name = 'too late'`)).length).toBe(0);
  });

  it('do not count when one of their transaction has failed, although nobody minded', async () => {
    const careless = db.transaction(async (tx) => {
      await db.query('INSERT INTO things (name) VALUES ($1)', ['careless'], tx);
      await db.query('INSERT INTO things (name) VALUES ($1)', ['careless'], tx).catch(() => undefined);
    });
    await expectAsync(careless).toBeRejectedWithError(/committed/);
    expect(await db.query(`SELECT 1 FROM things WHERE name = 'careless'`)).toEqual([]);
  });

  it('all count or none when a transaction ends', async () => {
    const inserted = (name: string, tx: Tx): Promise<unknown> =>
      db.query('INSERT INTO things (name) VALUES ($1)', [name], tx);
    await db.transaction(async (tx) => Promise.all([inserted('one', tx), inserted('two', tx)]));
    const failed = db.transaction(async (tx) => {
      await inserted('three', tx);
      throw new Error('on purpose');
    });
    await expectAsync(failed).toBeRejectedWithError('on purpose');
    const rows = await db.query<{ name: string }>(`SELECT name FROM things WHERE name IN ('one', 'two', 'three')`);
    expect(rows.map(({ name }) => name)).toEqual(['one', 'two']);
  });

  it('run on new connections when the database has ended the idle ones', async () => {
    await Promise.all(Array.from({ length: 6 }, () => db.query('SELECT pg_sleep(0.05)')));
    await db.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
    );
    for (let count = 0; count < 10; count++) {
      await db.query('SELECT 1').catch((error: unknown) => expect(isTransient(error)).toBeTrue());
    }
    expect(await db.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});
