/** The map of keys: what each does, and the switch that makes the single ones silent. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatDialogActions, MatDialogContent, MatDialogRef, MatDialogTitle } from '@angular/material/dialog';
import { Keys } from '../core/keys.ts';

@Component({
  selector: 'ht-keys-dialog',
  imports: [MatButton, MatDialogActions, MatDialogContent, MatDialogTitle],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './keys-dialog.html',
  styleUrls: ['./dialog.scss', './keys-dialog.scss'],
})
export class KeysDialog {
  protected readonly keys = inject(Keys);
  protected readonly dialog = inject<MatDialogRef<KeysDialog>>(MatDialogRef);
}
