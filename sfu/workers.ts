/** The media workers: one process each with its own client port, replaced when it dies. */
import { createWorker } from 'mediasoup';
import type { WebRtcServer, Worker } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { SfuConfig } from './config.ts';
import { SfuError } from './errors.ts';

/** Waiting times before a dead worker is started again, in milliseconds; the last one repeats. */
const RESTART_DELAYS_MS = [0, 100, 500, 2000];

export interface PoolWorker {
  readonly worker: Worker;
  /** Takes all clients of this worker on one UDP and one TCP port. */
  readonly webRtcServer: WebRtcServer;
}

export interface WorkerPoolOptions {
  readonly config: Pick<SfuConfig, 'listenIp' | 'announcedAddress' | 'webRtcPort' | 'workers' | 'workerBin'>;
  readonly log: Logger;
  /** Called once for each worker that dies, after mediasoup has closed everything in it. */
  readonly onLost: (lost: PoolWorker) => void;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  /** By index; undefined while a worker is being replaced. */
  readonly #workers: (PoolWorker | undefined)[] = [];
  #waiting: (() => void)[] = [];
  #closed = false;

  private constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /** Starts all workers. @throws Error if one can not start (no binary, port taken) */
  static async start(options: WorkerPoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    try {
      for (let index = 0; index < options.config.workers; index += 1) await pool.#start(index);
    } catch (error) {
      pool.close();
      throw error;
    }
    return pool;
  }

  get workers(): PoolWorker[] {
    return this.#workers.filter((worker) => worker !== undefined);
  }

  /**
   * The worker with the least to do. Waits while every worker is being replaced.
   * @param loadOf how much a worker has to do, in any unit
   */
  async leastLoaded(loadOf: (worker: PoolWorker) => number): Promise<PoolWorker> {
    for (;;) {
      if (this.#closed) throw new SfuError('worker-lost', 'the SFU is closing');
      const [first, ...others] = this.workers;
      if (first) return others.reduce((best, other) => (loadOf(other) < loadOf(best) ? other : best), first);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    this.#closed = true;
    for (const worker of this.workers) worker.worker.close();
    this.#workers.length = 0;
    this.#wake();
  }

  async #start(index: number): Promise<void> {
    const { config, log } = this.#options;
    const worker = await createWorker({ workerBin: config.workerBin, logLevel: 'error' });
    if (this.#closed) {
      worker.close();
      return;
    }
    const address = {
      ip: config.listenIp,
      announcedAddress: config.announcedAddress,
      port: config.webRtcPort + index,
    };
    let entry: PoolWorker;
    try {
      const webRtcServer = await worker.createWebRtcServer({
        listenInfos: [
          { protocol: 'udp', ...address },
          { protocol: 'tcp', ...address },
        ],
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
      void this.#replace(index);
    });
    this.#workers[index] = entry;
    this.#wake();
  }

  /** Never rejects: a worker that can not be started is tried again for as long as the process lives. */
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
