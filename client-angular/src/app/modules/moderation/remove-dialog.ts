/** Asks before somebody is taken out of the meeting. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogClose,
  MatDialogContent,
  MatDialogTitle,
} from '@angular/material/dialog';

export interface RemoveDialogData {
  name: string;
  organisation: string;
}

/** Closes with true when the person is to be removed. */
@Component({
  selector: 'ht-remove-dialog',
  imports: [MatButton, MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<h2 mat-dialog-title i18n="@@remove.title">Remove from the meeting?</h2>
    <mat-dialog-content data-testid="remove-question">
      <p i18n="@@remove.text">
        <strong
          ><bdi>{{ data.name }}</bdi></strong
        >
        (<bdi>{{ data.organisation }}</bdi
        >) is no longer in the meeting then, and is told that somebody who leads it has done this.
      </p>
    </mat-dialog-content>
    <mat-dialog-actions>
      <button matButton="outlined" type="button" [mat-dialog-close]="true" data-testid="remove-yes" i18n="@@remove.yes">
        Remove
      </button>
      <button matButton="filled" type="button" [mat-dialog-close]="false" data-testid="remove-no" i18n="@@remove.no">
        Leave in the meeting
      </button>
    </mat-dialog-actions>`,
  styleUrl: '../../shared/dialog.scss',
})
export class RemoveDialog {
  protected readonly data = inject<RemoveDialogData>(MAT_DIALOG_DATA);
}
