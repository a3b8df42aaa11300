/** One tick a second for everything on the screen that counts time. */
import { DestroyRef, inject, Injectable, signal } from '@angular/core';

@Injectable()
export class Clock {
  readonly #now = signal(Date.now());
  /** Unix ms. */
  readonly now = this.#now.asReadonly();

  constructor() {
    const timer = setInterval(() => this.#now.set(Date.now()), 1_000);
    inject(DestroyRef).onDestroy(() => clearInterval(timer));
  }
}
