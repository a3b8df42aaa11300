/** Sentences for the person that stay until they are put away: what somebody else has done, or what did not work. */
import { Injectable, signal } from '@angular/core';

/** Older ones go then. */
const MOST = 3;

export interface ToldSentence {
  readonly id: number;
  readonly kind: 'hint' | 'error';
  readonly text: string;
}

@Injectable({ providedIn: 'root' })
export class Told {
  readonly #sentences = signal<readonly ToldSentence[]>([]);
  /** The oldest first. */
  readonly sentences = this.#sentences.asReadonly();
  #count = 0;

  /** The same sentence stands there once. */
  tell(text: string, kind: ToldSentence['kind'] = 'hint'): void {
    this.#count += 1;
    const sentence = { id: this.#count, kind, text };
    this.#sentences.update((all) => [...all.filter((one) => one.text !== text), sentence].slice(-MOST));
  }

  dismiss(id: number): void {
    this.#sentences.update((all) => all.filter((one) => one.id !== id));
  }

  clear(): void {
    this.#sentences.set([]);
  }
}
