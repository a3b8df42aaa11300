/** What others have done to the own person. */
import { inject } from '@angular/core';
import type { NotificationData } from '../../../../../protocol/session.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { isolate } from '../../core/isolate.ts';
import { LocalMedia } from '../../media/local-media.ts';

/** Made by the module. */
export class Moderation {
  readonly #store = inject(ConferenceStore);
  readonly #told = inject(Told);
  readonly #local = inject(LocalMedia);

  /** Somebody has muted this person: the button says so at once, and can be pressed again. */
  done({ action, by, organisation }: NotificationData<'moderation.done'>): void {
    if (action !== 'mute' || !this.#local.microphone().on) return;
    void this.#local.turn('microphone', false);
    const name = isolate(by);
    const from = isolate(this.#store.organisation(organisation).displayName);
    this.#told.tell(
      $localize`:@@moderation.mutedBy:${name}:NAME: (${from}:ORGANISATION:) has muted you. You can turn your microphone on again.`,
    );
  }
}
