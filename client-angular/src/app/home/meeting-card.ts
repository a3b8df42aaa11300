/** One meeting: what, when, with whom, and the one or two things to do about it. */
import { ChangeDetectionStrategy, Component, computed, inject, input, LOCALE_ID, output } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { RouterLink } from '@angular/router';
import type { Meeting } from '../../../../protocol/client-api.ts';
import { Auth } from '../core/auth.ts';
import { isolate } from '../core/isolate.ts';
import { WallClock } from '../core/wall-clock.ts';
import { Icon } from '../shared/icon.ts';
import { OrganisationMark } from '../shared/organisation-mark.ts';
import { formatWhen, When } from '../shared/when.ts';

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
  readonly #locale = inject(LOCALE_ID);
  readonly #now = inject(WallClock).now;
  readonly #userId = inject(Auth).userId;
  protected readonly label = computed(() =>
    this.meeting().title.trim() ? isolate(this.meeting().title) : $localize`:@@meeting.untitled:Without a title`,
  );
  protected readonly own = computed(() => this.meeting().host.userId === this.#userId());
  /** Tells meetings without a time apart. */
  protected readonly made = computed(() => formatWhen(this.meeting().createdAt, undefined, this.#locale, this.#now()));
  protected readonly invited = computed(() => this.meeting().membership === 'invite');
  protected readonly leads = computed(() => ['owner', 'moderator'].includes(this.meeting().role));
}
