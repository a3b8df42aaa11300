/** One meeting: what, when, with whom, and the one or two things to do about it. */
import { ChangeDetectionStrategy, Component, computed, input, output } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { RouterLink } from '@angular/router';
import type { Meeting } from '../../../../protocol/client-api.ts';
import { Icon } from '../shared/icon.ts';
import { OrganisationMark } from '../shared/organisation-mark.ts';
import { When } from '../shared/when.ts';

@Component({
  selector: 'ht-meeting-card',
  imports: [MatButton, RouterLink, Icon, OrganisationMark, When],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './meeting-card.html',
  styleUrl: './meeting-card.scss',
  host: { '[class.large]': 'large()' },
})
export class MeetingCard {
  readonly meeting = input.required<Meeting>();
  readonly large = input(false);
  /** The answer to this invitation is on its way. */
  readonly busy = input(false);
  readonly answered = output<'accept' | 'decline'>();
  readonly invite = output();
  readonly makeLink = output();
  protected readonly invited = computed(() => this.meeting().membership === 'invite');
  protected readonly leads = computed(() => ['owner', 'moderator'].includes(this.meeting().role));
}
