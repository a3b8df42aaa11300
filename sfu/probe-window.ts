/** Round-trip time and loss of the probes of the last ten seconds. */

const WINDOW_MS = 10_000;
/** A probe without an answer counts as lost after this time, in ms. */
const LOST_AFTER_MS = 1500;

interface Question {
  readonly askedAt: number;
  answeredAt?: number;
}

export class ProbeWindow {
  readonly #questions = new Map<string, Question>();
  #lastAnswerAt: number | undefined;

  /** @param now monotonic time in ms, here and in the other methods */
  asked(nonce: string, now: number): void {
    for (const [old, { askedAt }] of this.#questions) {
      if (now - askedAt <= WINDOW_MS) break;
      this.#questions.delete(old);
    }
    this.#questions.set(nonce, { askedAt: now });
  }

  /**
   * @returns false for an unknown nonce, or one that was already answered
   *
   * @returns false if nobody asked this, or it was answered already
   */
  answered(nonce: string, now: number): boolean {
    const question = this.#questions.get(nonce);
    if (!question || question.answeredAt !== undefined) return false;
    question.answeredAt = now;
    this.#lastAnswerAt = now;
    return true;
  }

  /** Milliseconds since the last answer; infinite before the first one. */
  silenceMs(now: number): number {
    return this.#lastAnswerAt === undefined ? Infinity : now - this.#lastAnswerAt;
  }

  /** The median of the window's round-trip times, in ms. */
  get roundTripMs(): number | undefined {
    const times = [...this.#questions.values()]
      .flatMap(({ askedAt, answeredAt }) => (answeredAt === undefined ? [] : [answeredAt - askedAt]))
      .sort((a, b) => a - b);
    return times[Math.floor(times.length / 2)];
  }

  /** The share of lost probes, 0 to 1; pending ones do not count. */
  loss(now: number): number {
    let settled = 0;
    let lost = 0;
    for (const { askedAt, answeredAt } of this.#questions.values()) {
      if (now - askedAt > WINDOW_MS) continue;
      if (answeredAt !== undefined) settled += 1;
      else if (now - askedAt > LOST_AFTER_MS) {
        settled += 1;
        lost += 1;
      }
    }
    return settled === 0 ? 0 : lost / settled;
  }
}
