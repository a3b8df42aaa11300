/** Caches the owners of tokens, so that requests need no database query. Any change of a user evicts their entries. */
export class TokenCache<V extends { readonly localpart: string }> {
  readonly #entries = new Map<string, V>();
  readonly #keys = new Map<string, Set<string>>();
  readonly #maxSize: number;
  #generation = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** Incremented by every `forget`. Read it before reading what you want to `put`. */
  get generation(): number {
    return this.#generation;
  }

  get(hash: Buffer): V | undefined {
    return this.#entries.get(hash.toString('base64'));
  }

  /** Caches a value, unless something was evicted since it was read: it might be outdated. */
  put(hash: Buffer, value: V, generation: number): void {
    if (generation !== this.#generation) return;
    const key = hash.toString('base64');
    for (const [oldest, { localpart }] of this.#entries) {
      if (this.#entries.size < this.#maxSize) break;
      this.#entries.delete(oldest);
      this.#keys.get(localpart)?.delete(oldest);
    }
    this.#entries.set(key, value);
    const keys = this.#keys.get(value.localpart);
    if (keys) keys.add(key);
    else this.#keys.set(value.localpart, new Set([key]));
  }

  /** To be called after a change is stored, and before anybody is notified of it. */
  forget(localpart: string): void {
    this.#generation += 1;
    for (const key of this.#keys.get(localpart) ?? []) this.#entries.delete(key);
    this.#keys.delete(localpart);
  }
}
