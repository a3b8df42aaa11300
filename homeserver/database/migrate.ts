/** Migrates the schema at start. */
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Logger } from 'pino';
import type { Database } from './database.ts';
import type { Queries } from './pool.ts';

/** The exports of each file in `migrations/`. Its name is recorded in databases and must not change. */
interface Migration {
  up(parameters: { context: Queries }): Promise<void>;
}

const FOLDER = new URL('migrations/', import.meta.url);
/** The table with the names of applied migrations. */
const MIGRATIONS = 'migrations';
/** Number of the advisory lock under which migrations run. */
const LOCK = 0x68_61_6e_73;

/**
 * Runs all new migrations in one transaction, so that all are applied or none. Of two processes that start at the same
 * time, one waits for the other.
 */
export async function migrate(db: Database, log?: Logger): Promise<void> {
  const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.ts')).sort();
  if (await isMigrated(db, files)) return;
  // umzug and its dependencies stay in memory: most starts do not need them.
  const { Umzug } = await import('umzug');
  const done = await db.transaction(async (tx) => {
    const context: Queries = { query: (sql, params) => db.query(sql, params, tx) };
    await context.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
    await context.query(`CREATE TABLE IF NOT EXISTS ${MIGRATIONS} (name varchar(255) PRIMARY KEY)`);
    const umzug = new Umzug({
      migrations: files.map((file) => ({
        name: basename(file, '.ts'),
        up: async () => {
          const migration = (await import(new URL(file, FOLDER).href)) as Migration;
          await migration.up({ context });
        },
      })),
      context,
      storage: {
        executed: async () => [...(await executed(context))],
        logMigration: async ({ name }) => {
          await context.query(`INSERT INTO ${MIGRATIONS} (name) VALUES ($1)`, [name]);
        },
        unlogMigration: async ({ name }) => {
          await context.query(`DELETE FROM ${MIGRATIONS} WHERE name = $1`, [name]);
        },
      },
      logger: undefined,
    });
    return umzug.up();
  });
  for (const { name } of done) log?.info({ migration: name }, 'database migrated');
}

async function isMigrated(db: Database, files: readonly string[]): Promise<boolean> {
  const [there] = await db.query('SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1', [
    MIGRATIONS,
  ]);
  if (!there) return false;
  const done = await executed(db);
  return files.every((file) => done.has(basename(file, '.ts')));
}

async function executed(db: Queries): Promise<Set<string>> {
  const rows = await db.query<{ name: string }>(`SELECT name FROM ${MIGRATIONS}`);
  return new Set(rows.map((row) => row.name));
}
