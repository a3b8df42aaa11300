/** How long the event loop of this process stood still, and how much of that was its own doing. */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Others must not have to wait longer than this, in ms. */
export const MAX_STALL_MS = 250;
const LOOK_EVERY_MS = 10;

export class Stalls {
  readonly #histogram = monitorEventLoopDelay({ resolution: LOOK_EVERY_MS });
  readonly #onStall: (ms: number) => void;
  #timer: NodeJS.Timeout | undefined;
  #ownMs = 0;

  /** @param onStall is told of each stall that is too long, in ms */
  constructor(onStall: (ms: number) => void) {
    this.#onStall = onStall;
    this.start();
  }

  /** Of the event loop, whatever the reason, in ms. */
  get longestMs(): number {
    return Math.max(0, this.#histogram.max / 1e6 - LOOK_EVERY_MS);
  }

  /** The longest without the time in which this thread waited for a processor that others used, in ms. */
  get ownMs(): number {
    return this.#ownMs;
  }

  /** Begins anew. */
  reset(): void {
    this.#histogram.reset();
    this.#ownMs = 0;
  }

  start(): void {
    this.#histogram.enable();
    let lookedAt = performance.now();
    let waited = waitedForProcessorMs();
    this.#timer = setInterval(() => {
      const now = performance.now();
      const late = now - lookedAt - LOOK_EVERY_MS;
      lookedAt = now;
      const before = waited;
      waited = waitedForProcessorMs();
      const own = Math.max(0, late - (waited - before));
      this.#ownMs = Math.max(this.#ownMs, own);
      if (own > MAX_STALL_MS) this.#onStall(own);
    }, LOOK_EVERY_MS);
  }

  /** What happens until `start` does not count. */
  stop(): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }
}

/** How long this thread was ready to run while no processor was free, in ms; 0 where the kernel does not count that. */
function waitedForProcessorMs(): number {
  try {
    const [, waitedNs = '0'] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ');
    return Number(waitedNs) / 1e6;
  } catch {
    return 0;
  }
}
