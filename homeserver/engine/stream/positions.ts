/**
 * Positions of the one stream behind `/sync`: events, account data, receipts, to-device messages and so on take theirs
 * here. Changes are stored concurrently, so a higher position may be committed before a lower one; `current` never
 * passes one that is still being stored, or a sync could miss it.
 *
 * Some changes, such as typing, are not stored. So that no position is used twice after a restart, the database keeps a
 * ceiling that is raised in steps; a restart continues above it.
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

  /** The current position: everything up to it is stored. */
  get current(): number {
    let current = this.#last;
    for (const position of this.#open) current = Math.min(current, position - 1);
    return current;
  }

  /**
   * Takes the next position; call `settle` when its change is stored or abandoned.
   *
   * @throws Error when the reserved positions are used up, because the database could not be written for long
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

  /** Resolves when all positions taken so far are settled. */
  async reached(): Promise<void> {
    const position = this.#last;
    if (this.current >= position) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaiting.add({ position, resolve });
    return promise;
  }

  /** Stores a change at a new position, and settles it. */
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
