/** Who is here, by organisation. */
import { ChangeDetectionStrategy, Component, computed, inject, Injectable, signal } from '@angular/core';
import type { Participant } from '../../../../../protocol/session.ts';
import { Modules } from '../../conference/modules.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { Icon } from '../../shared/icon.ts';
import { Loaded } from '../../shared/loaded.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { PeopleHead } from './people-head.ts';
import { groupPeople } from './people-groups.ts';
import { PersonMarks } from './person-marks.ts';
import { PersonMenu } from './person-menu.ts';
import { UntrustedOrganisationSection } from './untrusted-organisation.ts';

/** From this many people on a search is worth its place. */
const SEARCH_FROM = 8;

/** What is searched for. Provide it by the screen of the conference, so that closing the panel forgets nothing. */
@Injectable()
export class PeopleSearch {
  readonly text = signal('');
}

@Component({
  selector: 'ht-people-panel',
  imports: [Icon, Loaded, OrganisationMark, PeopleHead, PersonMarks, PersonMenu, UntrustedOrganisationSection],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './people-panel.html',
  styleUrl: './people-panel.scss',
})
export class PeoplePanel {
  protected readonly store = inject(ConferenceStore);
  readonly #local = inject(LocalMedia);
  protected readonly modules = inject(Modules);
  protected readonly search = inject(PeopleSearch).text;
  protected readonly searchable = computed(() => this.store.participants().length >= SEARCH_FROM);
  protected readonly groups = computed(() => {
    const own = this.store.participant(this.store.me())?.organisation;
    return groupPeople(
      this.store.participants(),
      (serverName) => this.store.organisation(serverName),
      own,
      this.search(),
    );
  });

  protected sends(person: Participant, source: 'microphone' | 'camera'): boolean {
    if (person.participantId === this.store.me()) return this.#local.source(source)().track !== undefined;
    return person.sources.some((candidate) => candidate.source === source && !candidate.paused);
  }

  protected role(person: Participant): string {
    switch (person.role) {
      case 'owner':
        return $localize`:@@role.owner:Owner`;
      case 'moderator':
        return $localize`:@@role.moderator:Moderator`;
      case 'guest':
      case 'participant':
        return '';
    }
  }
}
