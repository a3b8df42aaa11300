/** What the own person may do in the running conference: every button that not everybody has asks here. */
import { computed, inject, Injectable } from '@angular/core';
import type { Right, Role } from '../../../../protocol/rights.ts';
import type { Participant } from '../../../../protocol/session.ts';
import { ConferenceStore } from './store.ts';

/** Who leads, and who leads those who lead: the others have the same power, whatever they are called. */
const POWER: Readonly<Record<Role, number>> = { owner: 2, moderator: 1, participant: 0, guest: 0 };

@Injectable({ providedIn: 'root' })
export class Rights {
  readonly #store = inject(ConferenceStore);

  /** The own role; undefined while in no conference. */
  readonly role = computed(() => this.#store.participant(this.#store.me())?.role);

  /** Reactive. The homeserver judges anew whatever is asked of it. */
  may(right: Right): boolean {
    return this.#store.rights().includes(right);
  }

  /** Reactive. As `may`, for what takes more power than the one has to whom it is done. */
  mayOver(right: Right, { role }: Pick<Participant, 'role'>): boolean {
    const own = this.role();
    return own !== undefined && this.may(right) && POWER[own] > POWER[role];
  }
}
