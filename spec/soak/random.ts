/** Choices that come from a number: the same seed always gives the same choices. */
import { createHash } from 'node:crypto';

/**
 * A small generator of pseudorandom numbers: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state. Not for secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param name sets generators of one seed apart, so that what one does changes no choice of another */
  constructor(seed: number, name: string) {
    const digest = createHash('sha256')
      .update(`${String(seed)} ${name}`)
      .digest();
    this.#a = digest.readInt32LE(0);
    this.#b = digest.readInt32LE(4);
    this.#c = digest.readInt32LE(8);
    for (let warmUp = 0; warmUp < 12; warmUp += 1) this.next();
  }

  /** From 0 up to, but without, 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of them. @throws Error when there is none */
  of<T>(all: readonly T[]): T {
    const index = Math.floor(this.next() * all.length);
    if (index >= all.length) throw new Error('There is nothing to choose from.');
    return all[index] as T;
  }

  /** One of them, each as likely as its weight says. @throws Error when there is none */
  weighted<T>(all: readonly (readonly [weight: number, value: T])[]): T {
    let rest = this.next() * all.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of all) {
      rest -= weight;
      if (rest < 0) return value;
    }
    const last = all.at(-1);
    if (!last) throw new Error('There is nothing to choose from.');
    return last[1];
  }
}
