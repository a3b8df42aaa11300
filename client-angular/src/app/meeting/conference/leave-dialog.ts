/** Asks before a way out that is easily taken by mistake: the browser's "back", or a link to somewhere else. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogClose,
  MatDialogContent,
  MatDialogTitle,
} from '@angular/material/dialog';

export interface LeaveDialogData {
  /** Of the meeting. */
  title: string;
}

/** Closes with true when the person wants to leave. */
@Component({
  selector: 'ht-leave-dialog',
  imports: [MatButton, MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<h2 mat-dialog-title i18n="@@leave.title">Leave the meeting?</h2>
    <mat-dialog-content data-testid="leave-question">
      <p i18n="@@leave.text">
        Camera and microphone go off then, and “<bdi>{{ data.title }}</bdi
        >” goes on without you. You can enter again.
      </p>
    </mat-dialog-content>
    <mat-dialog-actions>
      <button matButton="outlined" type="button" [mat-dialog-close]="true" data-testid="leave-yes" i18n="@@leave.yes">
        Leave
      </button>
      <button matButton="filled" type="button" [mat-dialog-close]="false" data-testid="leave-no" i18n="@@leave.no">
        Stay
      </button>
    </mat-dialog-actions>`,
  styleUrl: '../../shared/dialog.scss',
})
export class LeaveDialog {
  protected readonly data = inject<LeaveDialogData>(MAT_DIALOG_DATA);
}
