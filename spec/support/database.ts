/** A real PostgreSQL for specs: one for each process, started by the first spec that needs it. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../deploy/postgres/embedded-postgres.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';

export interface TestDatabase {
  /** For `openDatabase`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Migrated once, and copied for each spec. */
const TEMPLATE = 'migrated';

let server: Promise<string> | undefined;
let template: Promise<void> | undefined;

/** A database without any table that nobody else uses. */
export async function emptyDatabase(): Promise<TestDatabase> {
  return createDatabase();
}

/** A database with the tables of a homeserver, and nothing in them, that nobody else uses. */
export async function testDatabase(): Promise<TestDatabase> {
  await (template ??= makeTemplate());
  return createDatabase(`TEMPLATE ${TEMPLATE}`);
}

/** Whoever writes into a table waits until the end that this returns is called. Reading goes on. */
export async function holdWrites(db: Database, table: string): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const lock = db.transaction(async (tx) => {
    await db.query(`LOCK TABLE ${table} IN EXCLUSIVE MODE`, [], tx);
    held.resolve();
    await end.promise;
  });
  await Promise.race([held.promise, lock]);
  return async () => {
    end.resolve();
    await lock;
  };
}

async function createDatabase(how = ''): Promise<TestDatabase> {
  const serverUrl = await (server ??= startServer());
  const name = `spec_${randomBytes(6).toString('hex')}`;
  await administer(serverUrl, `CREATE DATABASE ${name} ${how}`);
  return {
    url: databaseUrl(serverUrl, name),
    close: async () => administer(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

async function makeTemplate(): Promise<void> {
  const serverUrl = await (server ??= startServer());
  await administer(serverUrl, `CREATE DATABASE ${TEMPLATE}`);
  const db = await openDatabase(databaseUrl(serverUrl, TEMPLATE));
  try {
    await migrate(db);
  } finally {
    await db.close();
  }
}

function databaseUrl(serverUrl: string, name: string): string {
  return serverUrl.replace('/hansetag?', `/${name}?`);
}

async function administer(connectionString: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** PostgreSQL ends with this process; its data goes then as well. */
async function startServer(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-spec-'));
  chmodSync(folder, 0o755);
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const postgres = await startPostgres({
    dataDir: join(folder, 'data'),
    socketDir: join(folder, 'socket'),
    durable: false,
  });
  return postgres.url;
}
