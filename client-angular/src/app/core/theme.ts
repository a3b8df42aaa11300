/** Light, dark or as the system says: the person's choice, kept in this browser. */
import { effect, Injectable, signal } from '@angular/core';

const KEY = 'hansetag-theme';
const CHOICES = ['system', 'light', 'dark'] as const;
export type ThemeChoice = (typeof CHOICES)[number];

@Injectable({ providedIn: 'root' })
export class Theme {
  readonly choice = signal<ThemeChoice>(CHOICES.find((choice) => choice === localStorage.getItem(KEY)) ?? 'system');

  constructor() {
    effect(() => {
      const choice = this.choice();
      if (choice === 'system') {
        localStorage.removeItem(KEY);
        delete document.documentElement.dataset['theme'];
      } else {
        localStorage.setItem(KEY, choice);
        document.documentElement.dataset['theme'] = choice;
      }
    });
  }
}
