/**
 * Positions of events in the order of storing. Rooms are stored side by side, so a higher position may be committed
 * before a lower one; `current` never runs ahead of one that is still being stored, or a sync could miss it.
 */
export class Positions {
  #last: number;
  #first: number;
  readonly #open = new Set<number>();

  /**
   * @param last the highest position in the database, 0 when there is none
   * @param first the lowest position in the database, 0 when nothing was backfilled
   */
  constructor(last: number, first: number) {
    this.#last = last;
    this.#first = first;
  }

  /** Everything up to here is stored. */
  get current(): number {
    let current = this.#last;
    for (const position of this.#open) current = Math.min(current, position - 1);
    return current;
  }

  /** Takes the next position; call `settle` when its event is stored or given up. */
  take(): number {
    this.#last += 1;
    this.#open.add(this.#last);
    return this.#last;
  }

  settle(position: number): void {
    this.#open.delete(position);
  }

  /** A position before all others, for history that is fetched later. */
  takeBefore(): number {
    this.#first -= 1;
    return this.#first;
  }
}
