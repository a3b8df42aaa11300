/** Asks before a whole organisation is shut out of the meeting. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogClose,
  MatDialogContent,
  MatDialogTitle,
} from '@angular/material/dialog';

export interface ShutOutDialogData {
  organisation: string;
}

/** Closes with true when the organisation is to be shut out. */
@Component({
  selector: 'ht-shut-out-dialog',
  imports: [MatButton, MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<h2 mat-dialog-title i18n="@@shutOut.title">Shut this organisation out?</h2>
    <mat-dialog-content data-testid="shut-out-question">
      <p i18n="@@shutOut.text">
        Everybody of
        <strong
          ><bdi>{{ data.organisation }}</bdi></strong
        >
        is out of this meeting at once, guests too, and its server gets no sound and no pictures any more. You can let
        it in again; its people then need an invitation.
      </p>
    </mat-dialog-content>
    <mat-dialog-actions>
      <button
        matButton="outlined"
        type="button"
        [mat-dialog-close]="true"
        data-testid="shut-out-yes"
        i18n="@@shutOut.yes"
      >
        Shut out
      </button>
      <button matButton="filled" type="button" [mat-dialog-close]="false" data-testid="shut-out-no" i18n="@@shutOut.no">
        Let it take part
      </button>
    </mat-dialog-actions>`,
  styleUrl: '../../shared/dialog.scss',
})
export class ShutOutDialog {
  protected readonly data = inject<ShutOutDialogData>(MAT_DIALOG_DATA);
}
