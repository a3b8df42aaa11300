/**
 * Work that brings something up to date: one round at a time, however often it is asked for. What is asked for during a round
 * gets one more after it, since the round may have looked before.
 */
export class Rounds {
  #state: 'idle' | 'running' | 'again' = 'idle';

  get running(): boolean {
    return this.#state !== 'idle';
  }

  /** @returns a promise that resolves with the last round; at once where one is under way. Rejects when a round does */
  async run(round: () => Promise<void>): Promise<void> {
    if (this.#state !== 'idle') {
      this.#state = 'again';
      return;
    }
    try {
      do {
        this.#state = 'running';
        await round();
      } while (this.#isAskedAgain());
    } finally {
      this.#state = 'idle';
    }
  }

  #isAskedAgain(): boolean {
    return this.#state === 'again';
  }
}
