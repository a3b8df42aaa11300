/**
 * The database of a homeserver: statements for hot paths, models for plain tables. docs/architecture.md, "Data access",
 * says when to use which.
 */
import pg from 'pg';
import { Sequelize } from 'sequelize';
import { Pool } from './pool.ts';
import type { Queries, Tx } from './pool.ts';

export type { Queries, Tx } from './pool.ts';

export interface Database extends Queries {
  /**
   * Runs one statement with `$1` parameters and returns its rows.
   *
   * @throws DatabaseUnavailableError; pg.DatabaseError, with its `code`, for errors of the database
   */
  query<T extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[], tx?: Tx): Promise<T[]>;
  /** Commits when the function's promise resolves and rolls back when it rejects. For statements only. */
  transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T>;
  /** For `defineModel` and transactions of models; its connections are apart from those of the statements. */
  readonly models: Sequelize;
  /** Closes all connections. May be called more than once. */
  close(): Promise<void>;
}

/** In total, the connections that a homeserver may open. */
const STATEMENT_CONNECTIONS = 12;
const MODEL_CONNECTIONS = 4;
const IDLE_MS = 10_000;
const PATIENCE_MS = 30_000;
/** How long to wait for the first connection, in ms: PostgreSQL may be starting at the same time. */
const START_PATIENCE_MS = 30_000;

export interface DatabaseOptions {
  /** How long to wait for a connection, in ms; 30 s by default. */
  readonly patienceMs?: number;
}

/**
 * Connects to PostgreSQL.
 *
 * @param url `postgres://user@host/database`, or with `?host=/folder` for a unix socket
 * @throws DatabaseUnavailableError when no connection was possible for 30 s
 */
export async function openDatabase(url: string, { patienceMs = PATIENCE_MS }: DatabaseOptions = {}): Promise<Database> {
  // bigint columns hold positions and times in ms: all far below 2^53.
  pg.types.setTypeParser(pg.types.builtins.INT8, Number);
  const address = parseUrl(url);
  const pool = new Pool({
    ...address,
    application_name: 'hansetag',
    min: 1,
    max: STATEMENT_CONNECTIONS,
    idleTimeoutMillis: IDLE_MS,
    connectionTimeoutMillis: patienceMs,
  });
  const deadline = Date.now() + START_PATIENCE_MS;
  for (;;) {
    try {
      await pool.query('SELECT 1', []);
      break;
    } catch (error) {
      if (Date.now() > deadline) {
        await pool.close();
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  const { user: username, ...rest } = address;
  // It connects on first use of a model.
  const models = new Sequelize({
    ...rest,
    username,
    dialect: 'postgres',
    dialectModule: pg,
    logging: false,
    pool: { max: MODEL_CONNECTIONS, min: 0, idle: IDLE_MS, acquire: patienceMs },
    dialectOptions: { application_name: 'hansetag' },
  });
  let closing: Promise<unknown> | undefined;
  return {
    models,
    query: async (sql, params = [], tx) => pool.query(sql, params, tx),
    transaction: async (run) => pool.transaction(run),
    close: async () => {
      closing ??= Promise.all([pool.close(), models.close()]);
      await closing;
    },
  };
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
