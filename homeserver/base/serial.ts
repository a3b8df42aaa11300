/** Runs tasks with the same key one after another, and those with different keys concurrently. */
export class Serial {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** @returns what the task returns; the next task runs even if this one fails */
  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(task, task);
    const tail = result.catch(() => undefined);
    this.#tails.set(key, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
