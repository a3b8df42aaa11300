/** The control line of the fake SFU: both directions keep their order, take their time, and end when it breaks. */
import type { FakeClock } from './clock.ts';

export class FakeLine {
  readonly #clock: FakeClock;
  /** How long the next message takes, in ms. */
  delay: () => number = () => 0;
  /** Messages of an older connection do not arrive. */
  #connection = 0;
  #held: (() => void)[] | undefined;
  /** When the last message of each direction arrives. */
  readonly #last = { in: 0, out: 0 };

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  send(direction: 'in' | 'out', deliver: () => void): void {
    const connection = this.#connection;
    const at = Math.max(this.#last[direction], this.#clock.monotonic() + this.delay());
    this.#last[direction] = at;
    this.#clock.after(at - this.#clock.monotonic(), () => {
      const arrive = (): void => {
        if (connection === this.#connection) deliver();
      };
      if (this.#held) this.#held.push(arrive);
      else arrive();
    });
  }

  /** What is sent from now on arrives with `release`. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const arrive of held) arrive();
  }

  /** What is on its way is lost. */
  cut(): void {
    this.#connection += 1;
    this.#held = undefined;
  }
}
