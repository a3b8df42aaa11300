/** A process that is kept running: it is started again when it dies, and ends when we end. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';

export interface ProcessPlan {
  /** As people see it in messages, such as `homeserver of Lübeck`. */
  readonly name: string;
  /** Arguments for this Node. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** All of the environment; the process gets nothing else. */
  readonly env: Readonly<Record<string, string>>;
  /** What the process prints is added to this file. */
  readonly logFile: string;
  /** Whether it can be used by now; asked again and again. */
  isReady(): Promise<boolean>;
  /** How long that may take, in ms; default a minute. */
  readonly patienceMs?: number;
  readonly log: (message: string) => void;
}

export interface KillOptions {
  /** Do not start it again, until `restart` is called. */
  readonly stayDead?: boolean;
}

const READY_PATIENCE_MS = 60_000;
const POLL_MS = 100;
const STOP_PATIENCE_MS = 12_000;
/** Wait before a dead process is started again, in ms; doubled each time up to the second figure. */
const BACKOFF_MS = { first: 50, most: 30_000 };
/** Who has run this long has recovered, in ms. */
const RECOVERED_MS = 30_000;
const MAX_LOG_BYTES = 20_000_000;
const SHOWN_LOG_CHARACTERS = 2_000;

/** The process has not come up. The message holds the end of its log. */
export class ProcessError extends Error {
  override readonly name = 'ProcessError';
  readonly code = 'NOT_STARTED';
}

export class ManagedProcess {
  readonly #plan: ProcessPlan;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #ready: Promise<void> = Promise.resolve();
  #isReady = false;
  #wanted = false;
  #backoffMs = BACKOFF_MS.first;
  #timer: NodeJS.Timeout | undefined;

  constructor(plan: ProcessPlan) {
    this.#plan = plan;
  }

  /** Process id; undefined while there is none. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get name(): string {
    return this.#plan.name;
  }

  /**
   * Starts the process and waits until it can be used.
   *
   * @throws ProcessError when it dies before, or takes longer than it may; it is not tried again then
   */
  async start(): Promise<void> {
    this.#wanted = true;
    this.#spawn();
    try {
      await this.#ready;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Resolves when the process that runs now, or the next one if there is none, can be used. */
  async ready(): Promise<void> {
    for (const deadline = Date.now() + this.#patienceMs; ; await pause(POLL_MS)) {
      if (this.#child !== undefined && this.#isReady) return;
      if (Date.now() > deadline) throw new ProcessError(`The ${this.name} is not ready.`);
    }
  }

  /** Sends a signal. If the process dies of it, it is started again a moment later, unless it shall stay dead. */
  kill(signal: NodeJS.Signals = 'SIGTERM', { stayDead = false }: KillOptions = {}): void {
    if (stayDead) {
      this.#wanted = false;
      clearTimeout(this.#timer);
    }
    this.#child?.kill(signal);
  }

  /** Ends the process in good order if there is one, starts it, and waits until it can be used. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Ends the process in good order: SIGTERM, and SIGKILL when that takes too long. */
  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
    await this.#exited;
    clearTimeout(late);
  }

  get #patienceMs(): number {
    return this.#plan.patienceMs ?? READY_PATIENCE_MS;
  }

  #spawn(): void {
    const { args, cwd, env, logFile } = this.#plan;
    turnOver(logFile);
    const log = openSync(logFile, 'a', 0o600);
    const child = spawn(process.execPath, [...args], {
      cwd,
      env,
      // Each process sees the closing of its standard input when we are gone, and ends.
      stdio: ['pipe', log, log],
      // Ctrl-C at the terminal reaches us only, so that all end in the right order.
      detached: true,
    });
    closeSync(log);
    child.stdin?.on('error', () => undefined);
    const started = Date.now();
    this.#child = child;
    this.#isReady = false;
    this.#exited = new Promise((done) => {
      child.once('error', () => done());
      child.once('exit', (code, signal) => {
        this.#child = undefined;
        this.#isReady = false;
        done();
        if (this.#wanted) this.#startAgain(signal ?? `exit code ${String(code)}`, Date.now() - started);
      });
    });
    this.#ready = this.#untilReady(child);
    // Who waits sees the failure; after a restart nobody may wait.
    this.#ready.catch(() => undefined);
  }

  #startAgain(reason: string, livedMs: number): void {
    if (livedMs > RECOVERED_MS) this.#backoffMs = BACKOFF_MS.first;
    const waitMs = this.#backoffMs;
    this.#backoffMs = Math.min(waitMs * 2, BACKOFF_MS.most);
    this.#plan.log(`The ${this.name} has ended (${reason}); it is started again in ${String(waitMs / 1000)} s.`);
    this.#timer = setTimeout(() => {
      this.#spawn();
      this.#ready.then(
        () => this.#plan.log(`The ${this.name} runs again.`),
        (error: unknown) => {
          // Who was stopped meanwhile has not failed.
          if (this.#wanted) this.#plan.log(String(error));
        },
      );
    }, waitMs);
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    for (const deadline = Date.now() + this.#patienceMs; ; await pause(POLL_MS)) {
      if (this.#child !== child) throw new ProcessError(`The ${this.name} has ended at once.\n${this.#logEnd()}`);
      if (await this.#plan.isReady()) {
        this.#isReady = this.#child === child;
        return;
      }
      if (Date.now() > deadline) throw new ProcessError(`The ${this.name} does not get ready.\n${this.#logEnd()}`);
    }
  }

  #logEnd(): string {
    return readFileSync(this.#plan.logFile, 'utf8').slice(-SHOWN_LOG_CHARACTERS);
  }
}

/** A log that has become large makes room; the one before is kept. */
function turnOver(file: string): void {
  try {
    if (statSync(file).size > MAX_LOG_BYTES) renameSync(file, `${file}.1`);
  } catch {
    // There is none yet.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
