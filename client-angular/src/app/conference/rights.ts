/** What the own person may do in the running conference: every button that not everybody has asks here. */
import { inject, Injectable } from '@angular/core';
import type { Right } from '../../../../protocol/rights.ts';
import { ConferenceStore } from './store.ts';

@Injectable({ providedIn: 'root' })
export class Rights {
  readonly #store = inject(ConferenceStore);

  /** Reactive. The homeserver judges anew whatever is asked of it. */
  may(right: Right): boolean {
    return this.#store.rights().includes(right);
  }
}
