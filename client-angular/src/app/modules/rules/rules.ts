/** The rules of the meeting as they are now, and changing them. */
import { computed, inject, Injectable, signal } from '@angular/core';
import { NO_RULES, type Rules } from '../../../../../protocol/modules/rules.ts';
import type { Params } from '../../../../../protocol/session.ts';
import { Acting } from '../../conference/acting.ts';
import { Announcements } from '../../core/announcements.ts';

@Injectable({ providedIn: 'root' })
export class MeetingRules {
  readonly #acting = inject(Acting);
  readonly #announcements = inject(Announcements);
  readonly #rules = signal<Rules>(NO_RULES);
  readonly all = this.#rules.asReadonly();
  readonly locked = computed(() => this.#rules().lock.locked);

  load(rules: Rules | undefined): void {
    this.#rules.set(rules ?? NO_RULES);
  }

  /** Somebody who leads has changed a rule, perhaps this person. */
  changed(rules: Rules): void {
    const before = this.locked();
    this.#rules.set(rules);
    if (before !== rules.lock.locked) this.#announcements.plan('lock', () => this.#lockText());
  }

  /** What holds then is told by `rules.changed`: two who lead may set the same rule at once. */
  async set(change: Params<'rules.set'>): Promise<void> {
    await this.#acting.ask('rules.set', change);
  }

  #lockText(): string {
    return this.locked()
      ? $localize`:@@rules.nowLocked:The meeting is locked: nobody but those who lead it enters.`
      : $localize`:@@rules.nowUnlocked:The meeting is open again.`;
  }
}
