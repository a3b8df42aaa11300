/** The time of day for everything that says "today", "in 5 minutes" or "now": it moves on by itself. */
import { DOCUMENT } from '@angular/common';
import { DestroyRef, inject, Injectable, signal } from '@angular/core';

const MINUTE_MS = 60_000;

@Injectable({ providedIn: 'root' })
export class WallClock {
  readonly #now = signal(Date.now());
  /** Unix ms; changes with every minute, and when a tab that slept is looked at again. */
  readonly now = this.#now.asReadonly();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    const document = inject(DOCUMENT);
    const look = (): void => {
      if (!document.hidden) this.#tick();
    };
    document.addEventListener('visibilitychange', look);
    // A computer that slept need not have hidden the tab.
    addEventListener('focus', look);
    addEventListener('pageshow', look);
    inject(DestroyRef).onDestroy(() => {
      clearTimeout(this.#timer);
      document.removeEventListener('visibilitychange', look);
      removeEventListener('focus', look);
      removeEventListener('pageshow', look);
    });
    this.#tick();
  }

  #tick(): void {
    const now = Date.now();
    this.#now.set(now);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), MINUTE_MS - (now % MINUTE_MS));
  }
}
