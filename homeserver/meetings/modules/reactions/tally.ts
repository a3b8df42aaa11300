/** Sums reactions, so that however many people clap, one number goes out a second. */
import type { Counts, Reaction } from '../../../../protocol/modules/reactions.ts';

/** The shortest time between two sums, in ms. */
const GAP_MS = 1_000;
/** How long the first reaction after a silence waits for those of others, in ms. */
const GATHER_MS = 100;

export interface TallyDeps {
  later(ms: number, task: () => void): void;
  /** Tells a sum. */
  tell(counts: Counts): void;
}

export class Tally {
  readonly #deps: TallyDeps;
  readonly #counts = new Map<Reaction, number>();
  #toldAt = -Infinity;
  #waiting = false;

  constructor(deps: TallyDeps) {
    this.#deps = deps;
  }

  add(reaction: Reaction, count: number): void {
    this.#counts.set(reaction, (this.#counts.get(reaction) ?? 0) + count);
    if (this.#waiting) return;
    this.#waiting = true;
    const wait = Math.max(GATHER_MS, this.#toldAt + GAP_MS - performance.now());
    this.#deps.later(wait, () => this.#tell());
  }

  /** Forgets what was not told yet. */
  clear(): void {
    this.#counts.clear();
  }

  #tell(): void {
    this.#waiting = false;
    if (this.#counts.size === 0) return;
    const counts = [...this.#counts].map(([reaction, count]) => ({ reaction, count }));
    this.#counts.clear();
    this.#toldAt = performance.now();
    this.#deps.tell(counts);
  }
}
