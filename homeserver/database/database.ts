/** The one connection pool of a homeserver. Subjects write SQL through it; migrations run at start. */
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import pg from 'pg';
import { Sequelize } from 'sequelize';
import type { Transaction } from 'sequelize';
import type { Logger } from 'pino';
import { Statements } from './statements.ts';

/** An open SQL transaction; pass it to `query` to run inside it. */
export type Tx = Transaction;

export interface Database {
  readonly sequelize: Sequelize;
  /** Runs one statement with `$1` parameters and answers its rows. @throws the driver's error, with its `code` */
  query<T extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[], tx?: Tx): Promise<T[]>;
  /** Commits when the function's promise resolves and rolls back when it rejects. */
  transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const MIGRATIONS = 'migrations';
const POOL_SIZE = 16;
const FOREIGN_KEY_VIOLATION = '23503';
const UNIQUE_VIOLATION = '23505';
/** character_not_in_repertoire and untranslatable_character. */
const UNSTORABLE: readonly string[] = ['22021', '22P05'];
const ANY_CONNECTION = { type: 'write' } as const;
/** How long to wait for a connection at start, in ms: PostgreSQL may be starting at the same time. */
const START_PATIENCE_MS = 30_000;

/**
 * Connects to PostgreSQL.
 *
 * @param url `postgres://user@host/database`, or with `?host=/folder` for a unix socket
 * @throws the driver's error when no connection was possible for 30 s
 */
export async function openDatabase(url: string): Promise<Database> {
  // bigint columns hold positions and times in ms: all far below 2^53.
  pg.types.setTypeParser(pg.types.builtins.INT8, Number);
  const { host, port, user, password, database } = parseUrl(url);
  const sequelize = new Sequelize({
    dialect: 'postgres',
    dialectModule: pg,
    host,
    ...(port === undefined ? {} : { port }),
    username: user,
    ...(password === undefined ? {} : { password }),
    database,
    logging: false,
    pool: { max: POOL_SIZE, min: 1, idle: 10_000, acquire: 30_000 },
    dialectOptions: { application_name: 'hansetag' },
  });
  const deadline = Date.now() + START_PATIENCE_MS;
  for (;;) {
    try {
      await sequelize.authenticate();
      break;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  const statements = new Statements();
  return {
    sequelize,
    // Through the pool of Sequelize, but past the rest of it: these are all the statements of a busy server.
    query: async <T extends object>(sql: string, params: readonly unknown[] = [], tx?: Tx) => {
      if (tx) return statements.run<T>(connectionOf(tx), sql, params);
      const connection = await sequelize.connectionManager.getConnection(ANY_CONNECTION);
      try {
        return await statements.run<T>(connection as pg.Client, sql, params);
      } finally {
        sequelize.connectionManager.releaseConnection(connection);
      }
    },
    transaction: async (run) => sequelize.transaction(run),
    close: async () => sequelize.close(),
  };
}

/** Brings the schema up to date; each migration runs once. */
export async function migrate(db: Database, log?: Logger): Promise<void> {
  const folder = new URL('migrations/', import.meta.url);
  const files = (await readdir(folder)).filter((name) => name.endsWith('.ts')).sort();
  if (await isMigrated(db, files)) return;
  // It and what it brings along stay in memory: most starts do without.
  const { SequelizeStorage, Umzug } = await import('umzug');
  const umzug = new Umzug({
    migrations: files.map((file) => ({
      name: basename(file, '.ts'),
      up: async () => {
        const module = (await import(new URL(file, folder).href)) as {
          up(parameters: { context: Database }): Promise<void>;
        };
        await module.up({ context: db });
      },
    })),
    context: db,
    storage: new SequelizeStorage({ sequelize: db.sequelize, tableName: MIGRATIONS }),
    logger: undefined,
  });
  for (const { name } of await umzug.up()) log?.info({ migration: name }, 'database migrated');
}

async function isMigrated(db: Database, files: readonly string[]): Promise<boolean> {
  const [there] = await db.query('SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1', [
    MIGRATIONS,
  ]);
  if (!there) return false;
  const rows = await db.query<{ name: string }>(`SELECT name FROM ${MIGRATIONS}`);
  const done = new Set(rows.map((row) => row.name));
  return files.every((file) => done.has(basename(file, '.ts')));
}

/** Whether a statement failed because what it refers to is not there (any more). */
export function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === FOREIGN_KEY_VIOLATION;
}

/** Whether a statement failed because what it adds is there already. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === UNIQUE_VIOLATION;
}

/** Whether a statement failed because of a character that the database keeps in no text, such as NUL. */
export function isUnstorable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && UNSTORABLE.includes(error.code ?? '');
}

/** The connection of a transaction; its types do not tell of it. @throws Error when the transaction is over */
function connectionOf(tx: Tx): pg.Client {
  const { connection, finished } = tx as unknown as { connection: pg.Client; finished?: string };
  if (finished !== undefined) throw new Error(`The transaction is over: ${finished}.`);
  return connection;
}

function parseUrl(url: string): { host: string; port?: number; user: string; password?: string; database: string } {
  const parsed = new URL(url);
  const socket = parsed.searchParams.get('host');
  return {
    host: socket ?? decodeURIComponent(parsed.hostname),
    ...(parsed.port === '' ? {} : { port: Number(parsed.port) }),
    user: decodeURIComponent(parsed.username) || 'hansetag',
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
    database: decodeURIComponent(parsed.pathname.slice(1)) || 'hansetag',
  };
}
