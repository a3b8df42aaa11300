/**
 * Positions in the one stream that `/sync` tells of: events, account data, receipts, to-device messages and so on take
 * theirs here. Changes are stored side by side, so a higher position may be committed before a lower one; `current`
 * never runs ahead of one that is still being stored, or a sync could miss it.
 *
 * Some changes, such as who is typing, are stored nowhere. So that no position is given out again after a restart, the
 * database keeps a ceiling, which is raised in steps; a restart goes on above it.
 */
import type { Database } from '../../database/database.ts';

/** Positions are reserved in blocks of this size. */
const BLOCK = 10_000;

export class Positions {
  readonly #db: Database;
  #last: number;
  /** Positions up to here are reserved in the database. */
  #ceiling: number;
  #raising: Promise<void> | undefined;
  readonly #open = new Set<number>();
  readonly #awaiting = new Set<{ readonly position: number; readonly resolve: () => void }>();

  private constructor(db: Database, start: number) {
    this.#db = db;
    this.#last = start;
    this.#ceiling = start;
  }

  /** Reserves the first block. */
  static async open(db: Database): Promise<Positions> {
    const [row] = await db.query<{ ceiling: number }>('SELECT ceiling FROM stream_ceiling');
    const positions = new Positions(db, row?.ceiling ?? 0);
    await positions.#raise();
    return positions;
  }

  /** Everything up to here is stored. */
  get current(): number {
    let current = this.#last;
    for (const position of this.#open) current = Math.min(current, position - 1);
    return current;
  }

  /**
   * Takes the next position; call `settle` when its change is stored or given up.
   *
   * @throws Error when the database could not be written for so long that the reserve is used up
   */
  take(): number {
    if (this.#last >= this.#ceiling) throw new Error('No stream position could be reserved in the database.');
    this.#last += 1;
    if (this.#ceiling - this.#last < BLOCK / 2) void this.#raise().catch(() => undefined);
    this.#open.add(this.#last);
    return this.#last;
  }

  settle(position: number): void {
    if (!this.#open.delete(position) || this.#awaiting.size === 0) return;
    const { current } = this;
    for (const waiting of this.#awaiting) {
      if (waiting.position > current) continue;
      this.#awaiting.delete(waiting);
      waiting.resolve();
    }
  }

  /** Resolves when everything that has a position now is stored. */
  async reached(): Promise<void> {
    const position = this.#last;
    if (this.current >= position) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaiting.add({ position, resolve });
    return promise;
  }

  /** Runs what stores a change at a new position, and settles it. */
  async with<T>(store: (position: number) => Promise<T>): Promise<T> {
    const position = this.take();
    try {
      return await store(position);
    } finally {
      this.settle(position);
    }
  }

  async #raise(): Promise<void> {
    const ceiling = this.#last + BLOCK;
    this.#raising ??= this.#db
      .query('UPDATE stream_ceiling SET ceiling = $1', [ceiling])
      .then(() => {
        this.#ceiling = ceiling;
      })
      .finally(() => {
        this.#raising = undefined;
      });
    return this.#raising;
  }
}
