/** Who waits to be let in, above the list of people. Many stand in groups. */
import { NgTemplateOutlet } from '@angular/common';
import { ChangeDetectionStrategy, Component, inject, LOCALE_ID, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import type { WaitingPerson } from '../../../../../protocol/modules/waiting.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { Waiting } from './waiting.ts';

@Component({
  selector: 'ht-waiting-people',
  imports: [MatButton, NgTemplateOutlet, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './waiting-list.html',
  styleUrl: './waiting-list.scss',
})
export class WaitingPeople {
  protected readonly waiting = inject(Waiting);
  protected readonly store = inject(ConferenceStore);
  /** Who is refused does not come again by themselves: it is asked about first. User id. */
  protected readonly refusing = signal<string | undefined>(undefined);
  readonly #time = new Intl.DateTimeFormat(inject(LOCALE_ID), { hour: 'numeric', minute: '2-digit' });

  protected kind({ kind }: WaitingPerson): string {
    switch (kind) {
      case 'guest':
        return $localize`:@@waiting.byLink:came by a link`;
      case 'invited':
        return $localize`:@@waiting.invited:was invited`;
      case 'knock':
        return $localize`:@@waiting.knocks:asks to take part`;
      case 'member':
        return $localize`:@@waiting.member:belongs to the meeting and reads its chat`;
    }
  }

  protected time(since: number): string {
    return this.#time.format(since);
  }

  protected refuse(person: WaitingPerson): void {
    this.refusing.set(undefined);
    void this.waiting.refuse(person);
  }
}
