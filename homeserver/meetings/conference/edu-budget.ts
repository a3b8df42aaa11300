/**
 * How much each other server may have us tell our clients: a bucket of changes. What comes beyond is not handled, and
 * made good afterwards by asking the server for the whole state once.
 */

/** Changes that may come at once; a large organisation that enters a conference is below it. */
const BURST = 600;
/** Changes per second that may go on. */
const PER_SECOND = 100;
/** How long after the first message that was not handled the state is asked for, in ms. */
const REPAIR_MS = 2_000;
const MAX_SERVERS = 5_000;

interface Bucket {
  left: number;
  refilledAt: number;
}

export class EduBudget {
  readonly #buckets = new Map<string, Bucket>();
  readonly #repairs = new Map<string, NodeJS.Timeout>();
  readonly #now: () => number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether a message of this server may be handled; costs one change. */
  mayHandle(server: string): boolean {
    const bucket = this.#bucket(server);
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }

  /** Counts changes that clients were told. The bucket may be overdrawn by one message. */
  spend(server: string, changes: number): void {
    this.#bucket(server).left -= changes;
  }

  /** Calls `repair` once after a while, however often it is asked for meanwhile. */
  repairLater(server: string, roomId: string, repair: () => void): void {
    const key = `${server} ${roomId}`;
    if (this.#repairs.has(key) || this.#repairs.size >= MAX_SERVERS) return;
    this.#repairs.set(
      key,
      setTimeout(() => {
        this.#repairs.delete(key);
        repair();
      }, REPAIR_MS),
    );
  }

  close(): void {
    for (const timer of this.#repairs.values()) clearTimeout(timer);
    this.#repairs.clear();
  }

  #bucket(server: string): Bucket {
    const now = this.#now();
    let bucket = this.#buckets.get(server);
    if (!bucket) {
      if (this.#buckets.size >= MAX_SERVERS) this.#buckets.clear();
      bucket = { left: BURST, refilledAt: now };
      this.#buckets.set(server, bucket);
    }
    bucket.left = Math.min(BURST, bucket.left + ((now - bucket.refilledAt) * PER_SECOND) / 1000);
    bucket.refilledAt = now;
    return bucket;
  }
}
