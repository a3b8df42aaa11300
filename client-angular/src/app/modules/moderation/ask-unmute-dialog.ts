/** Somebody who leads the meeting asks this person to speak. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogClose,
  MatDialogContent,
  MatDialogTitle,
} from '@angular/material/dialog';

export interface AskUnmuteDialogData {
  /** Who asks, with the organisation. */
  name: string;
}

/** Closes with true when the microphone is to be turned on. */
@Component({
  selector: 'ht-ask-unmute-dialog',
  imports: [MatButton, MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<h2 mat-dialog-title i18n="@@askUnmute.title">Turn on your microphone?</h2>
    <mat-dialog-content data-testid="unmute-question">
      <p i18n="@@askUnmute.text">
        <strong>{{ data.name }}</strong> asks you to turn on your microphone. Nobody hears you before you do.
      </p>
    </mat-dialog-content>
    <mat-dialog-actions>
      <button
        matButton="filled"
        type="button"
        [mat-dialog-close]="true"
        data-testid="unmute-yes"
        i18n="@@askUnmute.yes"
      >
        Turn on
      </button>
      <button
        matButton="outlined"
        type="button"
        [mat-dialog-close]="false"
        data-testid="unmute-no"
        i18n="@@askUnmute.no"
      >
        Stay muted
      </button>
    </mat-dialog-actions>`,
  styleUrl: '../../shared/dialog.scss',
})
export class AskUnmuteDialog {
  protected readonly data = inject<AskUnmuteDialogData>(MAT_DIALOG_DATA);
}
