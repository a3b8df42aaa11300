import { Injectable } from '@angular/core';

/** Leaves this client for a page elsewhere. */
@Injectable({ providedIn: 'root' })
export class Away {
  go(url: string): void {
    location.assign(url);
  }
}
