/** A machine on which nothing of ours has ever run, as far as that can be had on one where it has. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { readdirSync, readlinkSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { NOBODY, isRoot } from '../../deploy/postgres/identity.ts';
import { isRunning } from '../../deploy/quickstart/process-state.mjs';
import { workerBinary } from '../../deploy/worker/build.mjs';

const ROOT = join(import.meta.dirname, '../..');
/** What npm, npm scripts, and our own settings of this run would change for the one that is started. */
const NOT_INHERITED = /^(npm_|NODE|HANSETAG_|XDG_|INIT_CWD$|HOME$|USER$|LOGNAME$|MAIL$)/i;
const POLL_MS = 200;
/** Time for a whole set-up, in ms. */
const READY_PATIENCE_MS = 1_500_000;
const END_PATIENCE_MS = 60_000;
/** Nothing that a warm machine has is there: root's mounts over the places that a program could know by itself. */
const EMPTY_MOUNTS =
  'for folder in /var/cache /var/lib/hansetag; do [ ! -d $folder ] || mount -t tmpfs tmpfs $folder; done';

export interface Person {
  readonly home: string;
  /** The clone, in a folder whose name has a space, in a home that nobody else may enter. */
  readonly clone: string;
  readonly env: NodeJS.ProcessEnv;
  /** What a command is started by. */
  readonly before: readonly string[];
}

/** A folder in /tmp for everything of a check. Removed by `remove`. */
export class EmptyMachine {
  readonly folder = mkdtempSync('/tmp/hansetag-set-up-');

  constructor() {
    chmodSync(this.folder, 0o711);
  }

  /** Root, or the ordinary user who runs this: all caches of ours in a folder that is empty but for the worker. */
  async self(): Promise<Person> {
    const home = join(this.folder, 'home');
    const cache = join(this.folder, 'cache');
    const data = join(this.folder, 'data');
    mkdirSync(home, { mode: 0o700 });
    const clone = cloneInto(home);
    await putWorker(cache);
    const env = { ...environment(home), HANSETAG_CACHE: cache, HANSETAG_DATA: data, npm_config_cache: npmCache() };
    const canMount = isRoot() && spawnSync('unshare', ['--mount', 'true']).status === 0;
    return {
      home,
      clone,
      env,
      before: canMount ? ['unshare', '--mount', 'sh', '-c', `${EMPTY_MOUNTS}; exec "$@"`, 'sh'] : [],
    };
  }

  /**
   * The user nobody with a home of theirs and every default: what root can do with HANSETAG_CACHE only, they have by
   * their home. Undefined if we can not become that user, or they can not run this Node.
   */
  async ordinaryUser(): Promise<Person | undefined> {
    const who = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--bounding-set', '-all'];
    const before = ['setpriv', ...who];
    const home = join(this.folder, 'home of nobody');
    if (!isRoot() || spawnSync('setpriv', [...who, 'npm', '--version'], { cwd: '/' }).status !== 0) return undefined;
    mkdirSync(home, { mode: 0o700 });
    const clone = cloneInto(home);
    await putWorker(join(home, '.cache/hansetag'));
    // Root's cache of npm is closed to others.
    const packages = join(npmCache(), '_cacache');
    if (existsSync(packages)) cpSync(packages, join(home, '.npm/_cacache'), { recursive: true });
    execFileSync('chown', ['-R', `${String(NOBODY)}:${String(NOBODY)}`, home]);
    chownSync(home, NOBODY, NOBODY);
    return { home, clone, env: environment(home), before };
  }

  /** Processes that have to do with this machine: by a path of theirs, wherever the kernel shows one. */
  processes(): string[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && isRunning(name))
      .flatMap((pid) => {
        const read = (file: string) => quietly(() => readFileSync(`/proc/${pid}/${file}`, 'utf8')) ?? '';
        const cwd = quietly(() => readlinkSync(`/proc/${pid}/cwd`)) ?? '';
        const command = read('cmdline').replaceAll('\0', ' ');
        return [cwd, command, read('environ')].some((text) => text.includes(this.folder)) ? [`${pid} ${command}`] : [];
      });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Those who are interrupted take along what they have started. */
const started = new Set<Start>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
process.once('exit', () => started.forEach((start) => start.signal('SIGTERM')));

/** `npm start` of somebody, with what it prints. */
export class Start {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<number | null>;
  #exitCode: number | null | undefined;
  output = '';

  constructor({ clone, env, before }: Person, basePort: number) {
    const [program = '', ...args] = [...before, 'npm', 'start', '--', '--port', String(basePort)];
    this.#child = spawn(program, args, { cwd: clone, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    this.#ended = new Promise((done, failed) => {
      this.#child.once('error', failed);
      this.#child.once('close', (code) => {
        this.#exitCode = code;
        started.delete(this);
        done(code);
      });
    });
    this.#ended.catch(() => undefined);
    started.add(this);
  }

  /** The addresses that it prints when everything runs. @throws Error with what it printed instead */
  async addresses(): Promise<string[]> {
    for (const deadline = Date.now() + READY_PATIENCE_MS; Date.now() < deadline; await pause()) {
      if (this.output.includes('Ctrl-C ends everything')) {
        return [...this.output.matchAll(/https?:\/\/\S+/g)].map(([address]) => address);
      }
      if (this.#exitCode !== undefined) break;
    }
    throw new Error(`npm start has not come up:\n${this.output.slice(-4000)}`);
  }

  /** Sends a signal to npm, to the script that it runs, or to all as Ctrl-C does. */
  async end(signal: NodeJS.Signals, to: 'npm' | 'script' | 'all'): Promise<'ended' | 'late'> {
    if (to === 'all') this.signal(signal);
    else if (to === 'npm') this.#child.kill(signal);
    else process.kill(scriptOf(this.#child.pid ?? 0), signal);
    const late = new Promise<'late'>((done) => setTimeout(done, END_PATIENCE_MS, 'late').unref());
    const result = await Promise.race([this.#ended.then(() => 'ended' as const), late]);
    if (result === 'late') this.signal('SIGKILL');
    return result;
  }

  /** Sends a signal to npm and what has stayed in its process group. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (this.#exitCode === undefined && pid !== undefined) process.kill(-pid, signal);
  }
}

/** Process id of the script below npm, which may have a shell between. */
function scriptOf(npm: number): number {
  for (let pid = npm; ;) {
    const [name = '', script = ''] = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').split('\0');
    if (basename(name) === 'node' && script.endsWith('/run.mjs')) return pid;
    pid = Number.parseInt(readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8'), 10);
  }
}

/** What is at an address of the demonstration, whose names only browsers know: the status and the body. */
export function ask(address: string, path: string): Promise<{ status: number | undefined; body: string }> {
  const { port, host } = new URL(address);
  return new Promise((done, failed) => {
    get({ host: '127.0.0.1', port, path, headers: { host }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => done({ status: response.statusCode, body }));
    }).on('error', failed);
  });
}

export function pause(): Promise<void> {
  return new Promise((done) => setTimeout(done, POLL_MS));
}

/** What a clone of the state of this folder has: committed or not, but nothing that is made. */
function cloneInto(home: string): string {
  const clone = join(home, 'han setag');
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT });
  for (const file of list.toString().split('\0')) {
    if (file === '' || !existsSync(join(ROOT, file))) continue;
    mkdirSync(dirname(join(clone, file)), { recursive: true });
    cpSync(join(ROOT, file), join(clone, file));
  }
  return clone;
}

/** The worker is the one thing that may be there: compiling it is measured by itself. */
async function putWorker(cache: string): Promise<void> {
  const binary = await workerBinary({ mediasoupDir: join(ROOT, 'node_modules/mediasoup') });
  mkdirSync(cache, { recursive: true });
  copyFileSync(binary, join(cache, basename(binary)));
}

function environment(home: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !NOT_INHERITED.test(name));
  const PATH = (process.env['PATH'] ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  // Where packages come from is a setting of the machine, which a new home does not have.
  const registry = execFileSync('npm', ['config', 'get', 'registry'], { cwd: '/', encoding: 'utf8' }).trim();
  return { ...Object.fromEntries(inherited), HOME: home, PATH: PATH.join(':'), npm_config_registry: registry };
}

function npmCache(): string {
  return process.env['npm_config_cache'] ?? join(homedir(), '.npm');
}

function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
