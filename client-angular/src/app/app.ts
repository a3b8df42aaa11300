import { Component, effect, inject } from '@angular/core';
import { Router, RouterOutlet } from '@angular/router';
import { Auth } from './core/auth.ts';
import { FocusKeeper } from './core/focus-keeper.ts';
import { Keys } from './core/keys.ts';
import { Theme } from './core/theme.ts';

/** The frame of every screen. When the log-in ends, by whatever cause, the log-in page comes. */
@Component({ selector: 'ht-root', imports: [RouterOutlet], template: '<router-outlet />' })
export class App {
  constructor() {
    inject(Theme);
    inject(FocusKeeper);
    inject(Keys);
    const auth = inject(Auth);
    const router = inject(Router);
    let before = auth.loggedIn();
    effect(() => {
      const now = auth.loggedIn();
      if (before && !now) void router.navigateByUrl('/login');
      before = now;
    });
  }
}
