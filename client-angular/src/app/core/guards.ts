import { inject } from '@angular/core';
import { type CanActivateFn, Router } from '@angular/router';
import { Auth } from './auth.ts';

/** Who is not logged in goes to the log-in first and comes back afterwards. */
export const requireLogin: CanActivateFn = (_route, state) =>
  inject(Auth).loggedIn() || inject(Router).createUrlTree(['/login'], { queryParams: { then: state.url } });
