/** A map with limits in size and time, for data that unauthenticated clients cause. */
export class ExpiringMap<V> {
  readonly #entries = new Map<string, { value: V; expiresAt: number }>();
  readonly #lifeMs: number;
  readonly #maxSize: number;
  readonly #now: () => number;

  /** @param now the clock, Unix ms */
  constructor({ lifeMs, maxSize, now = Date.now }: { lifeMs: number; maxSize: number; now?: () => number }) {
    this.#lifeMs = lifeMs;
    this.#maxSize = maxSize;
    this.#now = now;
  }

  /** Adds an entry under a new key; evicts the oldest when there are too many. */
  set(key: string, value: V): void {
    // All entries have the same lifetime: the first expires first.
    for (const [oldest, { expiresAt }] of this.#entries) {
      if (expiresAt > this.#now() && this.#entries.size < this.#maxSize) break;
      this.#entries.delete(oldest);
    }
    this.#entries.set(key, { value, expiresAt: this.#now() + this.#lifeMs });
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expiresAt > this.#now() ? entry.value : undefined;
  }

  /** Returns and deletes an entry, so that it can be used once. */
  take(key: string): V | undefined {
    const value = this.get(key);
    this.#entries.delete(key);
    return value;
  }
}
