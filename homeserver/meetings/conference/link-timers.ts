/** The timers of a link, and how much longer each further attempt is put off. */
import type { Cancel, Clock } from '../../base/clock.ts';
import type { After, Timer } from './link-phase.ts';

/** Times to wait before opening a link again, in ms; the last one repeats. */
const RETRY_MS = [250, 500, 1_000, 2_000, 5_000, 10_000];

export class LinkTimers {
  readonly #clock: Clock;
  readonly #due: (timer: Timer) => void;
  readonly #running = new Map<Timer, Cancel>();
  #failures = 0;

  constructor(clock: Clock, due: (timer: Timer) => void) {
    this.#clock = clock;
    this.#due = due;
  }

  start(timer: Timer, after: After): void {
    this.stop(timer);
    const due = (): void => {
      this.#running.delete(timer);
      this.#due(timer);
    };
    this.#running.set(timer, this.#clock.after(typeof after === 'number' ? after : this.#backOff(after), due));
  }

  stop(timer: Timer): void {
    this.#running.get(timer)?.();
    this.#running.delete(timer);
  }

  /** Stops all but these. */
  keep(timers: readonly Timer[]): void {
    for (const timer of this.#running.keys()) if (!timers.includes(timer)) this.stop(timer);
  }

  /** The link works: the next failure is the first one. */
  worked(): void {
    this.#failures = 0;
  }

  #backOff(kind: 'back-off' | 'soon'): number {
    const failures = this.#failures;
    this.#failures += 1;
    if (kind === 'soon' && failures === 0) return 0;
    return RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0;
  }
}
