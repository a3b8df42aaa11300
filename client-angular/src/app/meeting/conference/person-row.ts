/** Somebody in the people list: who it is, what is sent, and what can be done, or a box to choose several. */
import { NgTemplateOutlet } from '@angular/common';
import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import type { Participant } from '../../../../../protocol/session.ts';
import { Modules } from '../../conference/modules.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { Icon } from '../../shared/icon.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { PersonMarks } from './person-marks.ts';
import { PersonMenu } from './person-menu.ts';

@Component({
  selector: 'li[htPersonRow]',
  imports: [Icon, NgTemplateOutlet, OrganisationMark, PersonMarks, PersonMenu],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { 'data-testid': 'person', '[attr.data-participant-id]': 'person().participantId' },
  templateUrl: './person-row.html',
  styleUrl: './person-row.scss',
})
export class PersonRow {
  readonly person = input.required<Participant>();
  /** Where the group is not of one organisation. */
  readonly showOrganisation = input(false);
  readonly #store = inject(ConferenceStore);
  readonly #local = inject(LocalMedia);
  readonly #modules = inject(Modules);
  protected readonly view = inject(PeopleView);
  protected readonly own = computed(() => this.person().participantId === this.#store.me());
  protected readonly organisation = computed(() => this.#store.organisation(this.person().organisation));
  protected readonly marks = computed(() => this.#modules.marks(this.person()));
  protected readonly speaks = computed(() => this.#sends('microphone'));
  protected readonly shown = computed(() => this.#sends('camera'));
  protected readonly shares = computed(() =>
    this.person().sources.some(({ source, paused }) => source === 'screen' && !paused),
  );
  protected readonly role = computed(() => {
    switch (this.person().role) {
      case 'owner':
        return $localize`:@@role.owner:Owner`;
      case 'moderator':
        return $localize`:@@role.moderator:Moderator`;
      case 'guest':
      case 'participant':
        return '';
    }
  });

  #sends(source: 'microphone' | 'camera'): boolean {
    if (this.own()) return this.#local.source(source)().track !== undefined;
    return this.person().sources.some((candidate) => candidate.source === source && !candidate.paused);
  }
}
