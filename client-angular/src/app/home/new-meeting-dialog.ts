/** A new meeting: a title is enough. Who can not be invited is said with the reason, and the meeting stands anyway. */
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatDialogActions, MatDialogContent, MatDialogRef, MatDialogTitle } from '@angular/material/dialog';
import { MatFormField, MatHint, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import type { InviteResult } from '../../../../protocol/client-api.ts';
import { Api } from '../core/api.ts';
import { errorText } from '../core/error-text.ts';
import { InviteResults } from '../shared/invite-results.ts';
import { Notice } from '../shared/notice.ts';
import { parseMatrixIds } from './matrix-ids.ts';

@Component({
  selector: 'ht-new-meeting-dialog',
  imports: [
    MatButton,
    MatDialogActions,
    MatDialogContent,
    MatDialogTitle,
    MatFormField,
    MatHint,
    MatLabel,
    MatInput,
    InviteResults,
    Notice,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './new-meeting-dialog.html',
  styleUrl: '../shared/dialog.scss',
})
export class NewMeetingDialog {
  readonly #api = inject(Api);
  protected readonly dialog = inject<MatDialogRef<NewMeetingDialog, string>>(MatDialogRef);
  protected readonly title = signal('');
  /** As `<input type="datetime-local">` gives it: local time, empty for none. */
  protected readonly startsAt = signal('');
  protected readonly invite = signal('');
  protected readonly ids = computed(() => parseMatrixIds(this.invite()));
  protected readonly tried = signal(false);
  protected readonly busy = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);
  /** Shown instead of the form when the meeting stands but somebody could not be invited. */
  protected readonly refused = signal<InviteResult['results'] | undefined>(undefined);

  protected async create(event: Event): Promise<void> {
    event.preventDefault();
    this.tried.set(true);
    const title = this.title().trim();
    const { valid, invalid } = this.ids();
    if (title === '' || invalid.length > 0 || this.busy()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    const startsAt = this.startsAt() === '' ? NaN : new Date(this.startsAt()).getTime();
    try {
      const { roomId, invitations } = await this.#api.createMeeting({
        title,
        ...(Number.isNaN(startsAt) ? {} : { startsAt, timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone }),
        invite: valid,
      });
      const refused = invitations?.filter((result) => !result.ok) ?? [];
      if (refused.length > 0) this.refused.set(refused);
      else this.dialog.close(roomId);
    } catch (error) {
      this.failure.set(errorText(error));
    } finally {
      this.busy.set(false);
    }
  }
}
