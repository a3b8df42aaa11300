/** The pool of media workers: processes with their own client ports, replaced when they die. */
import { createWorker } from 'mediasoup';
import type { WebRtcServer, Worker } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { SfuConfig } from './config.ts';
import { SfuError } from './errors.ts';

/** Delays before a dead worker is restarted, in ms; the last one repeats. */
const RESTART_DELAYS_MS = [0, 100, 500, 2000];
/** How long a worker may take to close before it is killed, in ms. */
const END_PATIENCE_MS = 2000;

export interface PoolWorker {
  readonly worker: Worker;
  /** Serves all clients of this worker on one UDP and one TCP port. */
  readonly webRtcServer: WebRtcServer;
}

export interface WorkerPoolOptions {
  readonly config: Pick<
    SfuConfig,
    'listenIp' | 'announcedAddress' | 'clientIps' | 'webRtcPort' | 'workers' | 'workerBin'
  >;
  readonly log: Logger;
  /** Called once for each worker that dies, after mediasoup has closed everything in it. */
  readonly onLost: (lost: PoolWorker) => void;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  /** By index; undefined while a worker is being replaced. */
  readonly #workers: (PoolWorker | undefined)[] = [];
  /** All running workers, including those that never got into the list. */
  readonly #processes = new Set<Worker>();
  /** Workers that are being started. */
  readonly #starting = new Set<Promise<Worker>>();
  #waiting: (() => void)[] = [];
  #closed = false;

  private constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /**
   * Starts all workers. @throws Error if one cannot start (no binary, port in use)
   *
   * @throws Error if one can not start (no binary, port taken)
   */
  static async start(options: WorkerPoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    try {
      await Promise.all(Array.from({ length: options.config.workers }, (_, index) => pool.#start(index)));
    } catch (error) {
      await pool.close();
      throw error;
    }
    return pool;
  }

  get workers(): PoolWorker[] {
    return this.#workers.filter((worker) => worker !== undefined);
  }

  /**
   * The least loaded worker. Waits while all workers are being replaced.
   *
   * @param loadOf the load of a worker, in any unit
   */
  async leastLoaded(loadOf: (worker: PoolWorker) => number): Promise<PoolWorker> {
    for (;;) {
      if (this.#closed) throw new SfuError('worker-lost', 'the SFU is closing');
      const [first, ...others] = this.workers;
      if (first) return others.reduce((best, other) => (loadOf(other) < loadOf(best) ? other : best), first);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /**
   * Closes all workers and resolves when their processes have ended. Otherwise nobody would wait for them: if process 1
   * does not either, as in many containers, they would stay as zombies. May be called more than once.
   */
  async close(): Promise<void> {
    this.#closed = true;
    this.#workers.length = 0;
    this.#wake();
    for (const worker of this.#processes) worker.close();
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#processes].map(ended));
  }

  async #start(index: number): Promise<void> {
    const { config, log } = this.#options;
    const worker = await this.#spawn();
    if (this.#closed) return;
    const port = config.webRtcPort + index;
    const addresses = [
      { ip: config.listenIp, announcedAddress: config.announcedAddress, port },
      ...config.clientIps.map((ip) => ({ ip, port })),
    ];
    let entry: PoolWorker;
    try {
      const webRtcServer = await worker.createWebRtcServer({
        listenInfos: addresses.flatMap((address) => [
          { protocol: 'udp', ...address },
          { protocol: 'tcp', ...address },
        ]),
      });
      entry = { worker, webRtcServer };
    } catch (error) {
      worker.close();
      throw error;
    }
    worker.on('died', (error) => {
      log.error({ err: error, pid: worker.pid, index }, 'worker died');
      this.#workers[index] = undefined;
      this.#options.onLost(entry);
      this.#replace(index).catch((failed: unknown) => log.error({ err: failed, index }, 'worker not replaced'));
    });
    this.#workers[index] = entry;
    this.#wake();
  }

  async #spawn(): Promise<Worker> {
    const starting = withoutSignalListeners(() =>
      createWorker({ workerBin: this.#options.config.workerBin, logLevel: 'error' }),
    );
    this.#starting.add(starting);
    try {
      const worker = await starting;
      this.#processes.add(worker);
      worker.on('subprocessclose', () => this.#processes.delete(worker));
      if (this.#closed) worker.close();
      return worker;
    } finally {
      this.#starting.delete(starting);
    }
  }

  /** Never rejects: a worker that cannot be started is retried for as long as the process lives. */
  async #replace(index: number): Promise<void> {
    for (let attempt = 0; !this.#closed; attempt += 1) {
      const delay = RESTART_DELAYS_MS[Math.min(attempt, RESTART_DELAYS_MS.length - 1)] ?? 0;
      if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay).unref());
      if (this.#closed) return;
      try {
        await this.#start(index);
        this.#options.log.info({ index, attempt }, 'worker replaced');
        return;
      } catch (error) {
        this.#options.log.error({ err: error, index, attempt }, 'worker could not be replaced yet');
      }
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/**
 * mediasoup closes a worker by itself when this process gets a signal, and a worker that is just being started then
 * neither starts nor fails. Signals are for main.ts, which closes the pool.
 */
function withoutSignalListeners<T>(create: () => T): T {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const before = signals.map((signal) => process.listeners(signal));
  const result = create();
  signals.forEach((signal, index) => {
    const added = process.listeners(signal).filter((listener) => before[index]?.includes(listener) !== true);
    for (const listener of added) process.off(signal, listener);
  });
  return result;
}

/** Waits for the end of a closed worker's process, which is killed if it takes too long. */
async function ended(worker: Worker): Promise<void> {
  if (worker.subprocessClosed) return;
  const late = setTimeout(() => {
    // Until it is waited for, its process id belongs to nobody else.
    if (!worker.subprocessClosed) process.kill(worker.pid, 'SIGKILL');
  }, END_PATIENCE_MS);
  await new Promise<void>((resolve) => worker.on('subprocessclose', resolve));
  clearTimeout(late);
}
