/** What the rules of the meeting keep the own person from, with the sentence that says so. */
import { inject, Injectable, signal } from '@angular/core';
import { NO_RULES, type RestrictionName, type Rules } from '../../../../protocol/modules/rules.ts';
import { Announcements } from '../core/announcements.ts';
import { ConferenceStore } from './store.ts';

@Injectable({ providedIn: 'root' })
export class Restrictions {
  readonly #store = inject(ConferenceStore);
  readonly #announcements = inject(Announcements);
  /** Set by the module of the rules. */
  readonly rules = signal<Rules>(NO_RULES);

  /** Reactive. The homeserver judges anew whatever is asked of it. */
  holds(rule: RestrictionName): boolean {
    const { restricted, allow } = this.rules()[rule];
    const me = this.#store.participant(this.#store.me());
    if (!restricted || !me || me.role === 'owner' || me.role === 'moderator') return false;
    return !allow.includes(me.userId);
  }

  /** Reactive. Why a button does nothing; undefined while it does. */
  reason(rule: RestrictionName): string | undefined {
    return this.holds(rule) ? restrictedText(rule) : undefined;
  }

  /** Says why nothing happens. @returns whether a rule holds */
  refuses(rule: RestrictionName): boolean {
    const reason = this.reason(rule);
    if (reason !== undefined) this.#announcements.now(reason);
    return reason !== undefined;
  }
}

function restrictedText(rule: RestrictionName): string {
  switch (rule) {
    case 'microphone':
      return $localize`:@@rules.microphoneHolds:Those who lead the meeting have restricted microphones. Raise your hand if you would like to speak.`;
    case 'camera':
      return $localize`:@@rules.cameraHolds:Those who lead the meeting have restricted cameras.`;
    case 'screen':
      return $localize`:@@rules.screenHolds:Those who lead the meeting have restricted the sharing of screens.`;
    case 'chat':
      return $localize`:@@rules.chatHolds:Those who lead the meeting have restricted the chat.`;
    case 'reactions':
      return $localize`:@@rules.reactionsHolds:Those who lead the meeting have restricted reactions.`;
    case 'hands':
      return $localize`:@@rules.handsHolds:Those who lead the meeting have restricted raising hands.`;
    case 'rename':
      return $localize`:@@rules.renameHolds:Those who lead the meeting have restricted changing names.`;
  }
}
