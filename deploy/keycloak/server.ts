/** A Keycloak of one's own on a loopback address, for specs and demonstrations. */
import { spawn } from 'node:child_process';
import { mkdir, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import type { TcpAccess } from '../postgres/embedded-postgres.ts';
import { keycloakInstallation } from './installation.ts';
import { realmOf } from './realm.ts';
import type { RealmPlan } from './realm.ts';

export interface KeycloakOptions {
  /** For its log and, unless it forgets everything, its data; made if absent. Only one Keycloak may use it. */
  readonly folder: string;
  /** Where it listens: loopback, as it speaks plain HTTP. */
  readonly host: string;
  readonly port: number;
  readonly realms: readonly RealmPlan[];
  /** Password of the administrator `admin`. */
  readonly adminPassword: string;
  readonly database: KeycloakDatabase;
  readonly progress?: (words: string) => void;
}

export type KeycloakDatabase =
  /** Everything is gone afterwards, apart from what the realms say. */
  | { readonly kind: 'memory' }
  /** Below `folder`. What was written in the last second is gone when Keycloak is killed. */
  | { readonly kind: 'file' }
  /** As in earnest. It stays the caller's to start and to end. */
  | { readonly kind: 'postgres'; readonly access: TcpAccess };

export interface Keycloak {
  /** Such as `http://127.0.0.1:8446`. */
  readonly url: string;
  readonly logFile: string;
  /** Process id of Java. */
  readonly pid: number;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Ends it in good order. May be called more than once. */
  stop(): Promise<void>;
}

/** It has not come up. The message holds the end of its log. */
export class KeycloakError extends Error {
  override readonly name = 'KeycloakError';
  readonly code = 'NOT_STARTED';
}

const START_PATIENCE_MS = 300_000;
const POLL_MS = 200;
const ANSWER_PATIENCE_MS = 5_000;
const SHOWN_LOG_CHARACTERS = 3_000;
/** To the database. */
const CONNECTIONS = 10;
/** It shares its machine: a small heap, and no second compiler for the first minute. */
const JAVA_OPTIONS = { JAVA_OPTS_KC_HEAP: '-Xms64m -Xmx400m', JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1' };
/** Of our own environment, what it gets. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ'];

/**
 * The shell ends Java when its standard input closes, which happens in whatever way the process that holds the other
 * end has died. kc.sh starts Java as a child; all three are in the process group of the shell.
 */
const GUARD = [
  'exec 3<&0',
  '"$0" "$@" </dev/null 3<&- & server=$!',
  '{ read line <&3; kill -TERM $server; } >/dev/null 2>&1 & reader=$!',
  'wait $server; wait $server',
  'kill $reader 2>/dev/null',
].join('\n');

const discoverySchema = z.looseObject({ issuer: z.string() });

/** Where the realm of this name is: its issuer address. */
export function issuerOf({ url }: Pick<Keycloak, 'url'>, realm: string): string {
  return `${url}/realms/${realm}`;
}

/**
 * Starts Keycloak and resolves when all realms answer. Realms that are in its data already stay as they are.
 *
 * @throws SetUpError when something is missing, KeycloakError when it does not come up
 */
export async function startKeycloak(options: KeycloakOptions): Promise<Keycloak> {
  const { folder, host, port, realms, adminPassword, database } = options;
  const kind = database.kind === 'postgres' ? 'postgres' : 'file';
  const { home, java } = await keycloakInstallation(kind, options.progress);
  await linkProgram(home, folder);
  await writeRealms(folder, realms);
  const url = `http://${host}:${String(port)}`;
  const logFile = join(folder, 'keycloak.log');
  const log = await open(logFile, 'w', 0o600);
  const args = [
    `-Dkc.home.dir=${folder}`,
    'start',
    '--optimized',
    '--import-realm',
    '--http-enabled=true',
    `--http-host=${host}`,
    `--http-port=${String(port)}`,
    `--hostname=${url}`,
    '--cache=local',
    ...databaseArguments(database),
  ];
  const guard = spawn('/bin/sh', ['-c', GUARD, join(home, 'bin/kc.sh'), ...args], {
    cwd: folder,
    env: {
      ...Object.fromEntries(INHERITED.map((name) => [name, process.env[name]])),
      ...JAVA_OPTIONS,
      JAVA: java,
      KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
      KC_BOOTSTRAP_ADMIN_PASSWORD: adminPassword,
      // Not as an argument, which everybody on the machine can read.
      ...(database.kind === 'postgres' ? { KC_DB_PASSWORD: database.access.password } : {}),
    },
    // A process group of its own: Ctrl-C at the terminal reaches us, and we end it after its users.
    detached: true,
    stdio: ['pipe', log.fd, log.fd],
  });
  await log.close();
  let over = false;
  const ended = new Promise<void>((done) => {
    const end = (): void => {
      over = true;
      done();
    };
    guard.once('close', end).once('error', end);
  });
  guard.stdin?.on('error', () => undefined);
  const stop = async (): Promise<void> => {
    guard.ref();
    guard.stdin?.end();
    await ended;
  };
  try {
    await untilReady(
      realms.map(({ name }) => issuerOf({ url }, name)),
      () => over,
    );
    const pid = await javaOf(guard.pid);
    // A process that has nothing else to do may end, and Keycloak with it.
    guard.unref();
    if (guard.stdin instanceof Socket) guard.stdin.unref();
    return { url, logFile, pid, ended, stop };
  } catch (error) {
    await stop();
    const words = await readFile(logFile, 'utf8').catch(() => '');
    throw new KeycloakError(`Keycloak can not be started.\n${words.slice(-SHOWN_LOG_CHARACTERS)}`, { cause: error });
  }
}

function databaseArguments(database: KeycloakDatabase): string[] {
  switch (database.kind) {
    case 'memory':
      return ['--db-url=jdbc:h2:mem:keycloak;NON_KEYWORDS=VALUE;DB_CLOSE_DELAY=-1;DB_CLOSE_ON_EXIT=FALSE'];
    case 'file':
      return [];
    case 'postgres': {
      const { host, port } = database.access;
      const url = `jdbc:postgresql://${host}:${String(port)}/hansetag`;
      return [`--db-url=${url}`, '--db-username=hansetag', `--db-pool-max-size=${String(CONNECTIONS)}`];
    }
  }
}

/** Data lies beside links to the program, which others use as well. */
async function linkProgram(home: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(home)) {
    if (name === 'data' || name === 'complete') continue;
    // A link may point to a version of before.
    await rm(join(folder, name), { force: true });
    await symlink(join(home, name), join(folder, name));
  }
}

async function writeRealms(folder: string, realms: readonly RealmPlan[]): Promise<void> {
  const imports = join(folder, 'data/import');
  await rm(imports, { recursive: true, force: true });
  await mkdir(imports, { recursive: true, mode: 0o700 });
  for (const realm of realms) {
    const text = JSON.stringify(await realmOf(realm));
    await writeFile(join(imports, `${realm.name}-realm.json`), text, { mode: 0o600 });
  }
}

async function untilReady(issuers: readonly string[], isOver: () => boolean): Promise<void> {
  for (const deadline = Date.now() + START_PATIENCE_MS; ; await pause()) {
    if ((await Promise.all(issuers.map(answers))).every(Boolean)) return;
    if (isOver()) throw new Error('it has ended');
    if (Date.now() > deadline) throw new Error('it takes too long');
  }
}

async function answers(issuer: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(ANSWER_PATIENCE_MS);
    const response = await fetch(`${issuer}/.well-known/openid-configuration`, { signal });
    const parsed = discoverySchema.safeParse(await response.json());
    return response.ok && parsed.data?.issuer === issuer;
  } catch {
    return false;
  }
}

/** The process id of Java, by the process group that the guard leads. */
async function javaOf(group: number | undefined): Promise<number> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(join('/proc', name, 'stat'), 'utf8').catch(() => '');
    const [, program, , , processGroup] = /\((.*)\) (\S) (\d+) (\d+)/.exec(stat) ?? [];
    if (program === 'java' && Number(processGroup) === group) return Number(name);
  }
  throw new Error('there is no Java');
}

function pause(): Promise<void> {
  return new Promise((done) => setTimeout(done, POLL_MS));
}
