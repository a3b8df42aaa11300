/**
 * What is said to people who do not see the screen. It is gathered, and said at most every few seconds: whoever listens
 * to the meeting is not talked over.
 */
import { LiveAnnouncer } from '@angular/cdk/a11y';
import { DestroyRef, inject, Injectable } from '@angular/core';

/** The first of a row is said after this, the next ones after this, in ms. */
const GATHER_MS = 1_500;
const REST_MS = 6_000;

@Injectable({ providedIn: 'root' })
export class Announcements {
  readonly #announcer = inject(LiveAnnouncer);
  readonly #subjects = new Map<string, () => string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saidAt = -Infinity;

  constructor() {
    inject(DestroyRef).onDestroy(() => this.silence());
  }

  /** The answer to what the person has just done. */
  now(text: string): void {
    void this.#announcer.announce(text, 'assertive');
  }

  /**
   * Says something about a subject in the next round.
   *
   * @param text asked when it is said, so that it counts and sums up what has come until then; of each subject the last
   *   one given is. `''`: there is nothing to say any more.
   */
  plan(subject: string, text: () => string): void {
    this.#subjects.set(subject, text);
    const wait = Math.max(GATHER_MS, this.#saidAt + REST_MS - performance.now());
    this.#timer ??= setTimeout(() => this.#say(), wait);
  }

  /** Forgets what was planned: the meeting that it was about is left. */
  silence(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#subjects.clear();
  }

  #say(): void {
    this.#timer = undefined;
    const texts = [...this.#subjects.values()].map((text) => text());
    this.#subjects.clear();
    const text = texts.filter((part) => part !== '').join(' ');
    if (text === '') return;
    this.#saidAt = performance.now();
    void this.#announcer.announce(text, 'polite');
  }
}
