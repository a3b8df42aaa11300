/** Inviting to a meeting: people with an account by their Matrix id, everybody else by a guest link. */
import { LiveAnnouncer } from '@angular/cdk/a11y';
import { Clipboard } from '@angular/cdk/clipboard';
import {
  afterNextRender,
  ChangeDetectionStrategy,
  Component,
  DestroyRef,
  type ElementRef,
  inject,
  Injector,
  signal,
  viewChild,
} from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogContent,
  MatDialogRef,
  MatDialogTitle,
} from '@angular/material/dialog';
import { Api } from '../core/api.ts';
import { errorText } from '../core/error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { GuestLinks } from './guest-links.ts';
import { Icon } from './icon.ts';
import { InvitePeople } from './invite-people.ts';
import { Notice } from './notice.ts';

export interface InviteDialogData {
  roomId: string;
  title: string;
  /** Make a guest link at once. */
  makeLink: boolean;
}

@Component({
  selector: 'ht-invite-dialog',
  imports: [MatButton, MatDialogActions, MatDialogContent, MatDialogTitle, GuestLinks, Icon, InvitePeople, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './invite-dialog.html',
  styleUrl: './dialog.scss',
})
export class InviteDialog {
  readonly #api = inject(Api);
  readonly #clipboard = inject(Clipboard);
  readonly #announcer = inject(LiveAnnouncer);
  readonly #injector = inject(Injector);
  readonly #destroyed = inject(DestroyRef);
  readonly #names = inject(OrganisationNames);
  protected readonly field = viewChild<ElementRef<HTMLInputElement>>('field');
  protected readonly links = viewChild(GuestLinks);
  protected readonly dialog = inject<MatDialogRef<InviteDialog>>(MatDialogRef);
  protected readonly data = inject<InviteDialogData>(MAT_DIALOG_DATA);
  protected readonly busy = signal(false);
  protected readonly url = signal<string | undefined>(undefined);
  protected readonly copied = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);

  constructor() {
    if (this.data.makeLink) void this.makeLink();
  }

  protected async makeLink(): Promise<void> {
    if (this.busy()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      this.url.set((await this.#api.createLink(this.data.roomId)).url);
      void this.links()?.load();
      // The link takes the place of the button that was pressed.
      if (!this.#destroyed.destroyed)
        afterNextRender({ read: () => this.field()?.nativeElement.focus() }, { injector: this.#injector });
    } catch (error) {
      this.failure.set(errorText(error, this.#names.of));
    } finally {
      this.busy.set(false);
    }
  }

  /** Marks the whole link and shows its beginning: whose server it leads to is worth knowing. */
  protected select(field: HTMLInputElement): void {
    field.setSelectionRange(0, field.value.length, 'backward');
    field.scrollLeft = 0;
  }

  protected copy(url: string): void {
    this.copied.set(this.#clipboard.copy(url));
    if (this.copied()) void this.#announcer.announce($localize`:@@invite.copied:Copied`);
  }
}
