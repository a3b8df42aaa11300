/** Inviting to a meeting: by a guest link, which anybody can open, and people with an account by their Matrix id. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogContent,
  MatDialogRef,
  MatDialogTitle,
} from '@angular/material/dialog';
import { GuestLinks } from './guest-links.ts';
import { InvitePeople } from './invite-people.ts';

export interface InviteDialogData {
  roomId: string;
  title: string;
  /** Make a guest link at once. */
  makeLink: boolean;
}

@Component({
  selector: 'ht-invite-dialog',
  imports: [MatButton, MatDialogActions, MatDialogContent, MatDialogTitle, GuestLinks, InvitePeople],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './invite-dialog.html',
  styleUrl: './dialog.scss',
})
export class InviteDialog {
  protected readonly dialog = inject<MatDialogRef<InviteDialog>>(MatDialogRef);
  protected readonly data = inject<InviteDialogData>(MAT_DIALOG_DATA);
}
