/**
 * The position of the newest change of one kind. A client that waits for news asks about every kind each time, and of
 * most kinds there is nothing: then the database need not be asked.
 */
export class Newest {
  #position: number;

  /** @param start the newest position that may have been given to anything before this process */
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
