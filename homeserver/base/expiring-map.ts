/** A map with bounds in number and time, for what strangers can make us remember. */
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

  /** Adds an entry under a new key; when there are too many, the oldest goes. */
  set(key: string, value: V): void {
    // All entries live equally long: the first one expires first.
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

  /** Answers an entry and forgets it, so that it can be used once. */
  take(key: string): V | undefined {
    const value = this.get(key);
    this.#entries.delete(key);
    return value;
  }
}
