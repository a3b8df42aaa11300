import { DataTypes } from 'sequelize';
import type { CreationOptional } from 'sequelize';
import { createLog } from '../../homeserver/base/log.ts';
import { MatrixError } from '../../homeserver/base/errors.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import type { Database } from '../../homeserver/database/database.ts';
import {
  isForeignKeyViolation,
  isTransient,
  isUniqueViolation,
  isUnstorable,
} from '../../homeserver/database/errors.ts';
import { defineModel } from '../../homeserver/database/models.ts';
import type { Row } from '../../homeserver/database/models.ts';
import { Edus } from '../../homeserver/engine/federation/edus.ts';
import { DatabaseWay } from '../support/database-way.ts';
import { emptyDatabase } from '../support/database.ts';
import { eventually } from '../support/homeservers.ts';

interface Thing extends Row<Thing> {
  name: string;
  ofName: CreationOptional<string | null>;
}

const thingModel = defineModel<Thing>('things', {
  name: { type: DataTypes.TEXT, primaryKey: true },
  ofName: DataTypes.TEXT,
});

/** The error of something that must fail. */
async function failureOf(what: Promise<unknown>, name = 'It'): Promise<unknown> {
  try {
    await what;
  } catch (error) {
    return error;
  }
  throw new Error(`${name} did not fail.`);
}

describe('What fails in the database', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  let way: DatabaseWay;
  let db: Database;

  beforeAll(async () => {
    database = await emptyDatabase();
    way = new DatabaseWay(database.url);
    db = await openDatabase(way.url, { patienceMs: 500 });
    await db.query('CREATE TABLE things (name text PRIMARY KEY, of_name text REFERENCES things)');
    await db.query(`INSERT INTO things (name) VALUES ('left'), ('right')`);
  });

  afterAll(async () => {
    await db.close();
    await way.close();
    await database.close();
  });

  /** Opens the way again and waits until no connection of before is in use any more. */
  async function reopen(): Promise<void> {
    way.reopen();
    await eventually(
      async () =>
        Promise.allSettled([
          ...Array.from({ length: 12 }, () => db.query('SELECT pg_sleep(0.02)')),
          ...Array.from({ length: 4 }, () => db.models.query('SELECT pg_sleep(0.02)')),
        ]),
      (results) => results.every(({ status }) => status === 'fulfilled'),
      10_000,
    );
  }

  /** Everything that asks the database, by statements and by models. */
  function allWays(): [string, () => Promise<unknown>][] {
    const things = thingModel(db);
    return [
      ['statement', () => db.query('SELECT name FROM things WHERE name = $1', ['a'])],
      ['transaction', () => db.transaction((tx) => db.query('SELECT name FROM things', [], tx))],
      ['model', () => things.findByPk('a')],
      ['transaction of models', () => db.models.transaction((transaction) => things.findAll({ transaction }))],
    ];
  }

  it('is transient when there is no way to the database, and over when there is one again', async () => {
    for (const [, ask] of allWays()) await ask();
    way.shut();
    for (const [name, ask] of allWays())
      expect(isTransient(await failureOf(ask())))
        .withContext(name)
        .toBeTrue();
    await reopen();
    for (const [name, ask] of allWays()) await expectAsync(ask()).withContext(name).toBeResolved();
  });

  it('is transient when the connection is lost while a statement runs', async () => {
    const slow = [db.query('SELECT pg_sleep(60)'), db.models.query('SELECT pg_sleep(60)')].map((what) =>
      failureOf(what),
    );
    const inTransaction = failureOf(db.transaction((tx) => db.query('SELECT pg_sleep(60)', [], tx)));
    const other = await openDatabase(database.url);
    const running = async (): Promise<number> =>
      (await other.query(`SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'`)).length;
    while ((await running()) < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    await other.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'`);
    await other.close();
    for (const error of await Promise.all([...slow, inTransaction])) expect(isTransient(error)).toBeTrue();
    const cut = [db.query('SELECT pg_sleep(60)'), db.models.query('SELECT pg_sleep(60)')].map((what) =>
      failureOf(what),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    way.shut();
    for (const error of await Promise.all(cut)) expect(isTransient(error)).toBeTrue();
    await reopen();
    await expectAsync(db.query('SELECT 1')).toBeResolved();
  });

  it('is transient when all connections stay in use', async () => {
    const { promise: end, resolve } = Promise.withResolvers<undefined>();
    const held = Array.from({ length: 12 }, () => db.transaction(() => end));
    const heldByModels = Array.from({ length: 4 }, () => db.models.transaction(() => end));
    for (const [name, ask] of allWays())
      expect(isTransient(await failureOf(ask())))
        .withContext(name)
        .toBeTrue();
    resolve(undefined);
    await Promise.all([...held, ...heldByModels]);
  });

  it('is transient when nobody answers at the address', async () => {
    const nowhere = new DatabaseWay(database.url);
    const away = await openDatabase(nowhere.url, { patienceMs: 500 });
    await nowhere.close();
    expect(isTransient(await failureOf(away.query('SELECT 1')))).toBeTrue();
    expect(isTransient(await failureOf(away.models.query('SELECT 1')))).toBeTrue();
    await away.close();
    expect(isTransient(await failureOf(away.query('SELECT 1'))))
      .withContext('while the homeserver ends')
      .toBeTrue();
  });

  it('is transient when the database says that it can not, now', async () => {
    const raised = (code: string): string => `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${code}'; END $$`;
    for (const code of ['08006', '53100', '53200', '53300', '58030', '57P01', '57P02', '57P03', '25006']) {
      expect(isTransient(await failureOf(db.query(raised(code)))))
        .withContext(code)
        .toBeTrue();
      expect(isTransient(await failureOf(db.models.query(raised(code)))))
        .withContext(code)
        .toBeTrue();
    }
    for (const code of ['22003', '22021', '23502', '23505', '42P01', '54000', '57014', 'P0001', 'XX000']) {
      expect(isTransient(await failureOf(db.query(raised(code)))))
        .withContext(code)
        .toBeFalse();
      expect(isTransient(await failureOf(db.models.query(raised(code)))))
        .withContext(code)
        .toBeFalse();
    }
  });

  it('is transient when two transactions can not both commit', async () => {
    const both = async (...order: string[]): Promise<void> => {
      const ready = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
      await Promise.all(
        [order, order.toReversed()].map((names, index) =>
          db.transaction(async (tx) => {
            await db.query('SELECT 1 FROM things WHERE name = $1 FOR UPDATE', [names[0]], tx);
            ready[index]?.resolve(undefined);
            await Promise.all(ready.map(({ promise }) => promise));
            await db.query('SELECT 1 FROM things WHERE name = $1 FOR UPDATE', [names[1]], tx);
          }),
        ),
      );
    };
    expect(isTransient(await failureOf(both('left', 'right'))))
      .withContext('deadlock')
      .toBeTrue();
    const stale = db.transaction(async (tx) => {
      await db.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', [], tx);
      await db.query('SELECT 1 FROM things', [], tx);
      await db.query(`UPDATE things SET of_name = 'right' WHERE name = 'left'`);
      await db.query(`UPDATE things SET of_name = 'left' WHERE name = 'left'`, [], tx);
    });
    expect(isTransient(await failureOf(stale)))
      .withContext('serialization')
      .toBeTrue();
  });

  it('is not transient when what was asked is wrong, and says why', async () => {
    const things = thingModel(db);
    const circle: unknown[] = [];
    circle.push({ circle });
    const cases: [(error: unknown) => boolean, () => Promise<unknown>][] = [
      [isUniqueViolation, () => db.query(`INSERT INTO things (name) VALUES ('left')`)],
      [isUniqueViolation, () => things.create({ name: 'left' })],
      [isForeignKeyViolation, () => db.query(`INSERT INTO things VALUES ('x', 'of nobody')`)],
      [isForeignKeyViolation, () => things.create({ name: 'x', ofName: 'of nobody' })],
      [isUnstorable, () => db.query('INSERT INTO things (name) VALUES ($1)', ['\0'])],
      [isUnstorable, () => things.create({ name: 'a\0b' })],
      [isUnstorable, () => things.upsert({ name: 'a\0b' })],
      [isUnstorable, () => things.update({ ofName: 'a\0b' }, { where: { name: 'left' } })],
      [(error) => error instanceof Error, () => db.query('SELECT $1', circle)],
      [(error) => error instanceof Error, () => db.models.query('SELECT nothing')],
      [(error) => error instanceof MatrixError, () => Promise.reject(new MatrixError(400, 'M_BAD_JSON', 'no'))],
    ];
    for (const [index, [is, ask]] of cases.entries()) {
      const error = await failureOf(ask(), String(index));
      expect(is(error)).withContext(String(index)).toBeTrue();
      expect(isTransient(error)).withContext(String(index)).toBeFalse();
    }
  });

  it('has durable messages sent again when it is transient, and no others', async () => {
    const edus = new Edus(createLog('fatal', { write: () => undefined }));
    edus.onDurable('durable', () => db.query('SELECT 1').then(() => undefined));
    edus.onDurable('wrong', () => db.query('SELECT $1::bigint', ['x']).then(() => undefined));
    edus.on('fleeting', () => db.query('SELECT 1').then(() => undefined));
    way.shut();
    await expectAsync(edus.handle('hamburg.example', 'durable', {})).toBeRejected();
    await expectAsync(edus.handle('hamburg.example', 'fleeting', {})).toBeResolved();
    await reopen();
    await expectAsync(edus.handle('hamburg.example', 'durable', {})).toBeResolved();
    await expectAsync(edus.handle('hamburg.example', 'wrong', {})).toBeResolved();
    // A deadlock, which neither library has a class for.
    edus.onDurable('unlucky', () =>
      db.query(`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$`).then(() => undefined),
    );
    await expectAsync(edus.handle('hamburg.example', 'unlucky', {})).toBeRejected();
  });
});
