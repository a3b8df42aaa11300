/** Who owns a token, so that the database is not asked at every request. Whatever changes a user empties it for them. */
export class TokenCache<V extends { readonly localpart: string }> {
  readonly #entries = new Map<string, V>();
  readonly #keys = new Map<string, Set<string>>();
  readonly #maxSize: number;
  #generation = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** Grows with every `forget`. Note it before you read what you want to `put`. */
  get generation(): number {
    return this.#generation;
  }

  get(hash: Buffer): V | undefined {
    return this.#entries.get(hash.toString('base64'));
  }

  /** Keeps a value, unless something was forgotten since it was read: it might have been this. */
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

  /** To be called after what was changed is stored, and before anybody is told of it. */
  forget(localpart: string): void {
    this.#generation += 1;
    for (const key of this.#keys.get(localpart) ?? []) this.#entries.delete(key);
    this.#keys.delete(localpart);
  }
}
