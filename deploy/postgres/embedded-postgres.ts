/**
 * A PostgreSQL of one's own: the binaries of an npm package, one folder of data, a unix socket, and a TCP port only for
 * programs that know no other way.
 *
 * For the quick-start and for specs.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, open, readFile, readlink, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { sharedCacheDir } from '../cache.mjs';
import { makeFolderOnce } from '../quickstart/drafts.mjs';
import { PostgresError } from './errors.ts';
import { identity, isRoot, mustReach, NOBODY } from './identity.ts';
import { postgresPrograms } from './programs.ts';

export { PostgresError } from './errors.ts';

export interface PostgresOptions {
  /** The folder of the data, made at the first start. As root, everybody must be able to enter the folders above it. */
  readonly dataDir: string;
  /** The folder of the socket, at most 80 bytes long; made if absent. Only one PostgreSQL may use it. */
  readonly socketDir: string;
  /** Where the copies of the binaries are kept for root; default: what deploy/cache.mjs says. */
  readonly cacheDir?: string;
  /** False: data may be lost when the machine fails, and everything is faster. Default true. */
  readonly durable?: boolean;
  /** For programs that cannot use a unix socket, such as those in Java; default: no port. */
  readonly tcp?: TcpAccess;
}

/** How a program reaches the database `hansetag` by TCP: as user `hansetag`, with this password. */
export interface TcpAccess {
  /** A loopback address, as there is no TLS. */
  readonly host: string;
  readonly port: number;
  /** Letters, digits, `-` and `_`. */
  readonly password: string;
}

export interface Postgres {
  /** Address of the database `hansetag`, for `pg` and Sequelize. */
  readonly url: string;
  /** Process id of the server. */
  readonly pid: number;
  /** Resolves when the server has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Ends the server in good order. May be called more than once. */
  stop(): Promise<void>;
}

const ROLE = 'hansetag';
const DATABASE = 'hansetag';
/** With the name of the socket, the kernel's limit is 107 (unix(7)). */
const MAX_SOCKET_DIR_BYTES = 80;
/** Also a part of the name of the socket. */
const DEFAULT_PORT = 5432;
const START_PATIENCE_MS = 60_000;
const STOP_PATIENCE_MS = 20_000;
const POLL_MS = 50;

/**
 * The shell ends PostgreSQL (SIGINT: at once, but in good order) when its standard input closes, which happens in
 * whatever way the process that holds the other end has died.
 */
const GUARD = [
  'exec 3<&0',
  '"$0" "$@" </dev/null >&2 3<&- & server=$!',
  '{ read line <&3; kill -INT $server; } >/dev/null 2>&1 & reader=$!',
  'echo $server',
  'wait $server',
  'kill $reader; wait $reader',
].join('\n');

const settingsOf = {
  durable: ['max_connections=100'],
  // Specs run many homeservers at one server, each with up to 16 connections.
  fleeting: ['max_connections=300', 'fsync=off', 'synchronous_commit=off', 'full_page_writes=off'],
};

/**
 * Starts PostgreSQL and resolves when it answers. Data is made at the first start. A server that a killed process left
 * running on this data is ended first; the caller sees to it that no living process uses the same data.
 *
 * @throws PostgresError
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { durable = true, tcp } = options;
  if (tcp !== undefined) requireSafe(tcp);
  const dataDir = resolve(options.dataDir);
  const socketDir = resolve(options.socketDir);
  if (Buffer.byteLength(socketDir) > MAX_SOCKET_DIR_BYTES) {
    throw new PostgresError('CAN_NOT_MAKE', `The path of the socket's folder is too long: ${socketDir}`);
  }
  await mustReach(dataDir, 'HANSETAG_DATA can name another folder for its data.');
  await mustReach(socketDir, 'HANSETAG_DATA can name another folder for its data.');
  const programs = await postgresPrograms(options.cacheDir ?? sharedCacheDir());
  await ownFolder(socketDir);
  await prepareData(programs, dataDir, durable);
  await endLeftOver(dataDir);
  await writeAccessRules(dataDir, tcp);

  const logFile = `${dataDir}.log`;
  const log = await open(logFile, 'w', 0o600);
  const port = tcp?.port ?? DEFAULT_PORT;
  const settings = [`listen_addresses=${tcp?.host ?? ''}`, `port=${String(port)}`];
  settings.push(...settingsOf[durable ? 'durable' : 'fleeting']);
  const args = ['-D', dataDir, '-k', socketDir, ...settings.flatMap((setting) => ['-c', setting])];
  const guard = spawn('/bin/sh', ['-c', GUARD, join(programs, 'bin/postgres'), ...args], {
    ...identity(),
    cwd: '/',
    env: {},
    // Its own session: Ctrl-C at the terminal reaches us, and we end PostgreSQL after its users.
    detached: true,
    stdio: ['pipe', 'pipe', log.fd],
  });
  await log.close();
  const ended = new Promise<void>((done) => guard.once('close', () => done()).once('error', () => done()));
  guard.stdin?.on('error', () => undefined);
  const stop = async (): Promise<void> => {
    guard.ref();
    guard.stdin?.end();
    await ended;
  };
  try {
    const pid = await firstLine(guard, ended);
    await untilReady({ socketDir, port, password: tcp?.password }, ended);
    // A process that has nothing else to do may end, and PostgreSQL with it.
    guard.unref();
    for (const pipe of [guard.stdin, guard.stdout]) if (pipe instanceof Socket) pipe.unref();
    return { url: databaseUrl(socketDir, port), pid, ended, stop };
  } catch (error) {
    await stop();
    const words = await readFile(logFile, 'utf8').catch(() => '');
    throw new PostgresError('CAN_NOT_START', `PostgreSQL can not be started.\n${words.slice(-2000)}`, { cause: error });
  }
}

function databaseUrl(socketDir: string, port: number): string {
  const host = port === DEFAULT_PORT ? 'localhost' : `localhost:${String(port)}`;
  return `postgres://${ROLE}@${host}/${DATABASE}?host=${encodeURIComponent(socketDir)}`;
}

/** @throws PostgresError when others could reach it, or the password cannot be written as it is */
function requireSafe({ host, password }: TcpAccess): void {
  if (/^127(\.\d{1,3}){3}$/.test(host) && /^[\w-]{16,200}$/.test(password)) return;
  throw new PostgresError('CAN_NOT_START', 'PostgreSQL listens on 127.0.0.0/8 only, with a password of 16 letters.');
}

/** Makes a folder that only PostgreSQL's user (and root) may enter. */
async function ownFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  if (isRoot()) await chown(path, NOBODY, NOBODY);
  await chmod(path, 0o700);
}

/** Makes the data if there is none. It gets its name when it is whole; what an interrupted start left is thrown away. */
async function prepareData(programs: string, dataDir: string, durable: boolean): Promise<void> {
  const version = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version !== undefined && existsSync(join(dataDir, 'global/pg_control'))) {
    const ours = (await run(join(programs, 'bin/postgres'), ['--version'])).output;
    if (!new RegExp(`\\) ${version.trim()}\\.`).test(ours)) {
      throw new PostgresError(
        'OTHER_VERSION',
        `The data in ${dataDir} is of PostgreSQL ${version.trim()}, and this is ${ours.trim()}.`,
      );
    }
    return;
  }
  // Without its control file there is no database in it, but it may be a folder of something else.
  if (existsSync(dataDir)) await rename(dataDir, `${dataDir}.unusable-${String(Date.now())}`);
  await makeFolderOnce(dataDir, async (draft) => {
    await ownFolder(draft);
    const how = ['-A', 'trust', '-U', ROLE, '-E', 'UTF8', '--locale', 'C', ...(durable ? [] : ['--no-sync'])];
    const { code, output } = await run(join(programs, 'bin/initdb'), ['-D', draft, ...how]);
    if (code !== 0) throw new PostgresError('CAN_NOT_MAKE', `The database could not be made.\n${output}`);
  });
}

/**
 * Who may connect: the user we are, as the kernel tells it. Where that user has no name (a container), everybody who
 * can reach the socket, which is the same user or root.
 *
 * @see PostgreSQL documentation, 20.9 Peer Authentication and 20.2 User Name Maps
 */
async function writeAccessRules(dataDir: string, tcp: TcpAccess | undefined): Promise<void> {
  let name: string | undefined;
  try {
    name = userInfo().username;
  } catch {
    name = undefined;
  }
  const isPlain = name !== undefined && /^[\w.-]+$/.test(name);
  await writeFile(join(dataDir, 'pg_ident.conf'), isPlain ? `hansetag "${name}" ${ROLE}\n` : '');
  const rules = [`local all ${ROLE} ${isPlain ? 'peer map=hansetag' : 'trust'}\n`];
  if (tcp) rules.push(`host ${DATABASE} ${ROLE} ${tcp.host}/32 scram-sha-256\n`);
  await writeFile(join(dataDir, 'pg_hba.conf'), rules.join(''));
}

/** Ends a server that is still running on this data. */
async function endLeftOver(dataDir: string): Promise<void> {
  const pidFile = join(dataDir, 'postmaster.pid');
  const text = await readFile(pidFile, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const pid = Number.parseInt(text, 10);
  if (Number.isInteger(pid) && pid > 1 && (await isServerOf(pid, dataDir))) {
    endServer(pid, 'SIGINT');
    if (!(await isGone(pid, dataDir, STOP_PATIENCE_MS))) {
      endServer(pid, 'SIGQUIT');
      await isGone(pid, dataDir, STOP_PATIENCE_MS);
    }
  }
  // PostgreSQL would refuse to start if the number had gone to another process since.
  await rm(pidFile, { force: true });
}

/** It may have ended by itself a moment ago. */
function endServer(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

async function isGone(pid: number, dataDir: string, patienceMs: number): Promise<boolean> {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await pause()) {
    if (!(await isServerOf(pid, dataDir))) return true;
  }
  return false;
}

/** Whether a process is a PostgreSQL on this data: it works in the folder of its data. */
async function isServerOf(pid: number, dataDir: string): Promise<boolean> {
  try {
    return (await readlink(`/proc/${String(pid)}/cwd`)) === (await realpath(dataDir));
  } catch {
    return false;
  }
}

/** Waits until the server answers, and makes the database if it is not there; sets the password, if there is one. */
async function untilReady(
  { socketDir, port, password }: { socketDir: string; port: number; password: string | undefined },
  ended: Promise<void>,
): Promise<void> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  ended.then(end, end);
  for (const deadline = Date.now() + START_PATIENCE_MS; ; await pause()) {
    const client = new pg.Client({ host: socketDir, port, user: ROLE, database: 'postgres' });
    // Without a listener, a server that ends now would end this process.
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
      if (password !== undefined) await client.query(`ALTER ROLE ${ROLE} PASSWORD '${password}'`);
      return;
    } catch (error) {
      if (over || Date.now() > deadline) throw error;
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

/** The process id that the guard prints. */
async function firstLine(guard: ChildProcess, ended: Promise<void>): Promise<number> {
  const line = new Promise<string>((done) => guard.stdout?.once('data', (chunk: Buffer) => done(chunk.toString())));
  const pid = Number(await Promise.race([line, ended]));
  if (!Number.isInteger(pid)) throw new Error('the guard has not started');
  return pid;
}

function run(program: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((done, failed) => {
    const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };
    const child = spawn(program, args, { ...identity(), cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4000)));
    }
    child.on('error', failed);
    child.on('close', (code) => done({ code, output }));
  });
}

function pause(): Promise<void> {
  return new Promise((done) => setTimeout(done, POLL_MS));
}
