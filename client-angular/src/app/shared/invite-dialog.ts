/** Inviting to a meeting: people with an account by their Matrix id, everybody else by a guest link. */
import { LiveAnnouncer } from '@angular/cdk/a11y';
import { Clipboard } from '@angular/cdk/clipboard';
import {
  afterNextRender,
  ChangeDetectionStrategy,
  Component,
  computed,
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
import { MatFormField, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import type { InviteResult } from '../../../../protocol/client-api.ts';
import { Api } from '../core/api.ts';
import { errorText } from '../core/error-text.ts';
import { parseMatrixIds } from '../home/matrix-ids.ts';
import { Icon } from './icon.ts';
import { InviteResults } from './invite-results.ts';
import { Notice } from './notice.ts';

export interface InviteDialogData {
  roomId: string;
  title: string;
  /** Make a guest link at once. */
  makeLink: boolean;
}

@Component({
  selector: 'ht-invite-dialog',
  imports: [
    MatButton,
    MatDialogActions,
    MatDialogContent,
    MatDialogTitle,
    MatFormField,
    MatLabel,
    MatInput,
    Icon,
    InviteResults,
    Notice,
  ],
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
  protected readonly field = viewChild<ElementRef<HTMLInputElement>>('field');
  protected readonly dialog = inject<MatDialogRef<InviteDialog>>(MatDialogRef);
  protected readonly data = inject<InviteDialogData>(MAT_DIALOG_DATA);
  protected readonly text = signal('');
  protected readonly ids = computed(() => parseMatrixIds(this.text()));
  protected readonly tried = signal(false);
  protected readonly busy = signal(false);
  protected readonly results = signal<InviteResult['results'] | undefined>(undefined);
  protected readonly url = signal<string | undefined>(undefined);
  protected readonly copied = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);

  constructor() {
    if (this.data.makeLink) void this.makeLink();
  }

  protected async invite(event: Event): Promise<void> {
    event.preventDefault();
    this.tried.set(true);
    const { valid, invalid } = this.ids();
    if (valid.length === 0 || invalid.length > 0) return;
    await this.#busily(async () => {
      this.results.set((await this.#api.invite(this.data.roomId, valid)).results);
      this.text.set('');
      this.tried.set(false);
    });
  }

  protected makeLink(): Promise<void> {
    return this.#busily(async () => {
      this.url.set((await this.#api.createLink(this.data.roomId)).url);
      // The link takes the place of the button that was pressed.
      if (!this.#destroyed.destroyed)
        afterNextRender({ read: () => this.field()?.nativeElement.focus() }, { injector: this.#injector });
    });
  }

  protected copy(url: string): void {
    this.copied.set(this.#clipboard.copy(url));
    if (this.copied()) void this.#announcer.announce($localize`:@@invite.copied:Copied`);
  }

  async #busily(work: () => Promise<void>): Promise<void> {
    if (this.busy()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      await work();
    } catch (error) {
      this.failure.set(errorText(error));
    } finally {
      this.busy.set(false);
    }
  }
}
