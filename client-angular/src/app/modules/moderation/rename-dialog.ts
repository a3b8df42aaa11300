/** Asks for the new name of a guest. */
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogClose,
  MatDialogContent,
  MatDialogRef,
  MatDialogTitle,
} from '@angular/material/dialog';
import { MatFormField, MatHint, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';

export interface RenameDialogData {
  /** The name that the guest has. */
  readonly name: string;
}

/** Closes with the new name. */
@Component({
  selector: 'ht-rename-dialog',
  imports: [
    MatButton,
    MatDialogActions,
    MatDialogClose,
    MatDialogContent,
    MatDialogTitle,
    MatFormField,
    MatHint,
    MatInput,
    MatLabel,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<form (submit)="$event.preventDefault(); rename(field.value)">
    <h2 mat-dialog-title i18n="@@rename.title">Rename guest</h2>
    <mat-dialog-content>
      <mat-form-field>
        <mat-label i18n="@@rename.label">Name for everybody in the meeting</mat-label>
        <input
          #field
          matInput
          autocomplete="off"
          maxlength="100"
          data-testid="rename-name"
          [value]="data.name"
          [attr.aria-invalid]="missing()"
          [attr.aria-describedby]="missing() ? 'rename-missing' : null"
          (input)="missing.set(false)"
        />
        <mat-hint i18n="@@rename.hint">The guest is told who has done this.</mat-hint>
      </mat-form-field>
      @if (missing()) {
        <p class="failure" id="rename-missing" role="alert" i18n="@@rename.missing">Please enter a name.</p>
      }
    </mat-dialog-content>
    <mat-dialog-actions>
      <button matButton="outlined" type="button" mat-dialog-close data-testid="rename-no" i18n="@@rename.no">
        Cancel
      </button>
      <button matButton="filled" type="submit" data-testid="rename-yes" i18n="@@rename.yes">Rename</button>
    </mat-dialog-actions>
  </form>`,
  styleUrl: '../../shared/dialog.scss',
})
export class RenameDialog {
  protected readonly data = inject<RenameDialogData>(MAT_DIALOG_DATA);
  readonly #dialog = inject<MatDialogRef<RenameDialog, string>>(MatDialogRef);
  protected readonly missing = signal(false);

  protected rename(typed: string): void {
    const name = typed.trim();
    if (name === '') this.missing.set(true);
    else this.#dialog.close(name);
  }
}
