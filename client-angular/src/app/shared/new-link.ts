/** A guest link with settings: what it is for, until when, for how many, with a waiting room, with a password. */
import { ChangeDetectionStrategy, Component, inject, input, output, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatCheckbox } from '@angular/material/checkbox';
import { MatFormField, MatHint, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import { MatOption, MatSelect } from '@angular/material/select';
import { type GuestRule, type Link, MAX_LINK_USES, MIN_LINK_PASSWORD } from '../../../../protocol/guest-links.ts';
import { displayTitle } from '../../../../protocol/display-text.ts';
import { Api } from '../core/api.ts';
import { errorText } from '../core/error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { Notice } from './notice.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const LIVES_MS = { ended: undefined, day: DAY_MS, week: 7 * DAY_MS, month: 30 * DAY_MS } as const;
type Life = keyof typeof LIVES_MS;

@Component({
  selector: 'ht-new-link',
  imports: [MatButton, MatCheckbox, MatFormField, MatHint, MatInput, MatLabel, MatOption, MatSelect, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './new-link.html',
  styleUrl: './guest-links.scss',
})
export class NewLink {
  readonly #api = inject(Api);
  readonly #names = inject(OrganisationNames);
  readonly roomId = input.required<string>();
  /** What the meeting makes of guests. */
  readonly guests = input.required<GuestRule>();
  readonly made = output<Link>();
  readonly cancelled = output();
  protected readonly purpose = signal('');
  protected readonly valid = signal<Life>('week');
  protected readonly most = signal('');
  protected readonly mostWrong = signal(false);
  protected readonly waiting = signal(false);
  protected readonly password = signal('');
  protected readonly passwordShort = signal(false);
  protected readonly busy = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);

  protected async make(event: Event): Promise<void> {
    event.preventDefault();
    const most = this.most().trim();
    const maxUses = most === '' ? undefined : /^\d+$/.test(most) ? Number(most) : 0;
    const password = this.password();
    this.mostWrong.set(maxUses !== undefined && (maxUses < 1 || maxUses > MAX_LINK_USES));
    this.passwordShort.set(password !== '' && password.length < MIN_LINK_PASSWORD);
    if (this.busy() || this.mostWrong() || this.passwordShort()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    const lifeMs = LIVES_MS[this.valid()];
    const purpose = this.purpose().trim();
    try {
      const link = await this.#api.createLink(this.roomId(), {
        mode: this.waiting() ? 'waiting' : 'direct',
        ...(displayTitle(purpose) === undefined ? {} : { purpose }),
        ...(lifeMs === undefined ? {} : { expiresAt: Date.now() + lifeMs }),
        ...(maxUses === undefined ? {} : { maxUses }),
        ...(password === '' ? {} : { password }),
      });
      this.made.emit(link);
    } catch (error) {
      this.failure.set(errorText(error, this.#names.of));
    } finally {
      this.busy.set(false);
    }
  }
}
