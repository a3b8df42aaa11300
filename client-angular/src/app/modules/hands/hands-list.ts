/** The raised hands in their order, above the list of people, and what those who lead the meeting can do about them. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { PeopleView } from '../../conference/people-view.ts';
import { Rights } from '../../conference/rights.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { Hands } from './hands.ts';

@Component({
  selector: 'ht-hands-list',
  imports: [MatButton, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './hands-list.html',
  styleUrl: './hands-list.scss',
})
export class HandsList {
  protected readonly hands = inject(Hands);
  protected readonly rights = inject(Rights);
  protected readonly store = inject(ConferenceStore);
  /** Who groups the people by their hands has this list below, with everything that can be done about them. */
  protected readonly view = inject(PeopleView);
}
