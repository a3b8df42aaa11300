/**
 * The position of the newest change of one kind. Every sync asks about every kind, most of which have no changes: then
 * no database query is needed.
 */
export class Newest {
  #position: number;

  /** @param start the newest position that may have been used before this process started */
  constructor(start: number) {
    this.#position = start;
  }

  /** To be called before the position of a change is settled. */
  note(position: number): void {
    if (position > this.#position) this.#position = position;
  }

  /** False when there is no change after a position. */
  mayBeAfter(position: number): boolean {
    return this.#position > position;
  }
}
