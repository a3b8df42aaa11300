/** Muting and removing others, and being muted. */
import { inject } from '@angular/core';
import type { NotificationData, Participant } from '../../../../../protocol/session.ts';
import { Acting } from '../../conference/acting.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Announcements } from '../../core/announcements.ts';
import { isolate } from '../../core/isolate.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';
import { personName } from '../../shared/person-text.ts';

/** So many participants stand in one request (`moderation.mute`). */
const MOST_AT_ONCE = 500;

/** Made by the module, whose dialogs are those of the meeting. */
export class Moderation {
  readonly #store = inject(ConferenceStore);
  readonly #acting = inject(Acting);
  readonly #announcements = inject(Announcements);
  readonly #told = inject(Told);
  readonly #local = inject(LocalMedia);
  readonly #dialogs = inject(OwnDialogs);

  isOther({ participantId }: Participant): boolean {
    return participantId !== this.#store.me();
  }

  /** Others who can be heard. Reactive. */
  audible(): readonly Participant[] {
    return this.#store.participants().filter((person) => this.isOther(person) && isAudible(person));
  }

  async mute(people: readonly Participant[]): Promise<void> {
    const unreached = new Set<string>();
    let done = 0;
    for (let start = 0; start < people.length; start += MOST_AT_ONCE) {
      const some = people.slice(start, start + MOST_AT_ONCE);
      const result = await this.#acting.ask('moderation.mute', {
        participantIds: some.map(({ participantId }) => participantId),
      });
      if (!result) break;
      done += some.length;
      for (const serverName of result.unreached) unreached.add(serverName);
    }
    const [first] = people;
    if (done === 0 || !first) return;
    if (unreached.size > 0) {
      const organisations = this.#names(unreached);
      this.#told.tell(
        $localize`:@@moderation.muteUnreached:${organisations}:ORGANISATIONS: could not be reached: whoever was to be muted may still be heard there.`,
      );
    } else {
      this.#announcements.now(
        people.length === 1
          ? $localize`:@@moderation.mutedOne:${personName(first)}:NAME: is muted.`
          : $localize`:@@moderation.mutedMany:${done}:COUNT: people are muted.`,
      );
    }
  }

  /** Asks before. */
  async remove(person: Participant): Promise<void> {
    const organisation = this.#store.organisation(person.organisation).displayName;
    const yes = await this.#dialogs.ask<boolean>(async () => (await import('./remove-dialog.ts')).RemoveDialog, {
      width: '440px',
      maxWidth: '96vw',
      // Enter, pressed once too often, removes nobody.
      autoFocus: '[data-testid=remove-no]',
      data: { name: person.displayName, organisation },
    });
    if (!yes) return;
    const result = await this.#acting.ask('moderation.remove', { participantIds: [person.participantId] });
    if (!result) return;
    const name = personName(person);
    if (result.unreached.length > 0) {
      const organisations = this.#names(result.unreached);
      this.#told.tell(
        $localize`:@@moderation.removeUnreached:${organisations}:ORGANISATIONS: could not be reached: ${name}:NAME: may still be seen and heard there.`,
      );
    } else {
      this.#announcements.now($localize`:@@moderation.removed:${name}:NAME: was removed from the meeting.`);
    }
  }

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

  /** What a dialog asks about is over. */
  left(): void {
    this.#dialogs.close();
  }

  #names(serverNames: Iterable<string>): string {
    const names = [...serverNames].map((serverName) => isolate(this.#store.organisation(serverName).displayName));
    return names.join(', ');
  }
}

export function isAudible({ sources }: Participant): boolean {
  return sources.some(({ source, paused }) => source === 'microphone' && !paused);
}
