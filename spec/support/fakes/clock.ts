/**
 * Time that a spec moves. What is due now runs by itself, one task in each turn of the event loop, so that a wait of 0 ms is
 * a message that is on its way; everything later waits for `advance`.
 */
import type { Cancel, Clock } from '../../../homeserver/base/clock.ts';

interface Timer {
  readonly at: number;
  readonly task: () => void;
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

export class FakeClock implements Clock {
  readonly #start: number;
  #time = 0;
  /** In the order in which they run. */
  readonly #timers: Timer[] = [];
  #pumping = false;

  /** @param start the time of day at the beginning, Unix ms */
  constructor(start = Date.now()) {
    this.#start = start;
  }

  now(): number {
    return Math.floor(this.#start + this.#time);
  }

  monotonic(): number {
    return this.#time;
  }

  after(ms: number, task: () => void): Cancel {
    const timer: Timer = { at: this.#time + Math.max(0, ms), task };
    const later = this.#timers.findIndex(({ at }) => at > timer.at);
    this.#timers.splice(later < 0 ? this.#timers.length : later, 0, timer);
    this.#pump();
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  /** How many tasks wait for their time. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Waits until nothing is left that happens at this time. */
  async settle(): Promise<void> {
    do await turn();
    while (this.#pumping);
    await turn();
    if (this.#pumping) await this.settle();
  }

  /** Moves the time on; all that is due meanwhile happens in its order, with all that follows from it. */
  async advance(ms: number): Promise<void> {
    const end = this.#time + ms;
    await this.settle();
    for (;;) {
      const [next] = this.#timers;
      if (!next || next.at > end) break;
      this.#time = next.at;
      this.#pump();
      await this.settle();
    }
    this.#time = end;
  }

  /** Moves the time on by so many ms while something happens. */
  async during<T>(work: Promise<T>, ms: number): Promise<T> {
    const [result] = await Promise.all([work, this.advance(ms)]);
    return result;
  }

  #pump(): void {
    if (this.#pumping || !this.#isDue()) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      if (this.#isDue()) this.#timers.shift()?.task();
      this.#pump();
    });
  }

  #isDue(): boolean {
    const [next] = this.#timers;
    return next !== undefined && next.at <= this.#time;
  }
}
