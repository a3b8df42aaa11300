import { inject } from '@angular/core';
import { type CanActivateFn, Router } from '@angular/router';
import { Auth } from './auth.ts';

/**
 * Who is not logged in goes to the log-in first and comes back afterwards; who was a guest in this meeting goes to the
 * link again.
 */
export const requireLogin: CanActivateFn = (route, state) => {
  const auth = inject(Auth);
  const router = inject(Router);
  if (auth.loggedIn()) return true;
  const link = auth.guestLink();
  return link !== undefined && link.roomId === route.params['roomId']
    ? router.createUrlTree(['/join', link.token])
    : router.createUrlTree(['/login'], { queryParams: { then: state.url } });
};
