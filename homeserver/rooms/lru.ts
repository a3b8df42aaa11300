/** A bounded map that forgets what was not used for longest. */
export class Lru<K, V> {
  readonly #limit: number;
  readonly #weigh: (value: V) => number;
  readonly #map = new Map<K, { readonly value: V; readonly weight: number }>();
  #weight = 0;

  /**
   * @param limit how many values, or how much they may weigh together; the newest is kept whatever it weighs
   * @param weigh what a value weighs when it is set; 1 unless told otherwise
   */
  constructor(limit: number, weigh: (value: V) => number = () => 1) {
    this.#limit = limit;
    this.#weigh = weigh;
  }

  get(key: K): V | undefined {
    const entry = this.#map.get(key);
    if (entry === undefined) return undefined;
    this.#map.delete(key);
    this.#map.set(key, entry);
    return entry.value;
  }

  /** The value, without counting it as used. */
  peek(key: K): V | undefined {
    return this.#map.get(key)?.value;
  }

  set(key: K, value: V): void {
    this.delete(key);
    const weight = this.#weigh(value);
    this.#map.set(key, { value, weight });
    this.#weight += weight;
    while (this.#weight > this.#limit && this.#map.size > 1) {
      const oldest = this.#map.keys().next();
      if (oldest.done === true) return;
      this.delete(oldest.value);
    }
  }

  delete(key: K): void {
    const entry = this.#map.get(key);
    if (entry === undefined) return;
    this.#map.delete(key);
    this.#weight -= entry.weight;
  }
}
