/** What was done in a soak, and when: what people asked for and were answered, what was cut and who was killed. */
export interface Entry {
  /** Since the beginning, in ms. */
  readonly at: number;
  readonly [detail: string]: unknown;
}

export class Journal {
  readonly #began = Date.now();
  readonly #entries: Entry[] = [];

  note(details: Readonly<Record<string, unknown>>): void {
    this.#entries.push({ at: Date.now() - this.#began, ...details });
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }
}
