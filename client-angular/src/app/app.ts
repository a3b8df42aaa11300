import { Component, effect, inject, untracked } from '@angular/core';
import { MatDialog } from '@angular/material/dialog';
import { Router, RouterOutlet } from '@angular/router';
import { Auth } from './core/auth.ts';
import { FocusKeeper } from './core/focus-keeper.ts';
import { Theme } from './core/theme.ts';
import { Postponed } from './shared/postponed.ts';
import { KeysMap } from './shared/keys-map.ts';

/**
 * The frame of every screen. When the log-in ends, by whatever cause, the page comes that says so and asks for the next
 * one: guests give their name again at their link, everybody else logs in and comes back to the same place.
 */
@Component({ selector: 'ht-root', imports: [Postponed, RouterOutlet], template: '<router-outlet /><ht-postponed />' })
export class App {
  constructor() {
    inject(Theme);
    inject(FocusKeeper);
    inject(KeysMap);
    const auth = inject(Auth);
    const router = inject(Router);
    const dialogs = inject(MatDialog);
    let before = auth.loggedIn();
    effect(() => {
      const now = auth.loggedIn();
      if (before && !now) {
        dialogs.closeAll();
        const link = untracked(auth.guestLink);
        const then = untracked(auth.ended) && router.url !== '/' ? { then: router.url } : {};
        void router.navigate(link ? ['/join', link.token] : ['/login'], { queryParams: link ? {} : then });
      }
      before = now;
    });
  }
}
