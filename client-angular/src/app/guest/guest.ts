/** Entry by link: a guest says a name; somebody who is logged in goes straight on. */
import { ChangeDetectionStrategy, Component, DestroyRef, inject, input, type OnInit, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatFormField, MatHint, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import { Router, RouterLink } from '@angular/router';
import type { LinkPreview } from '../../../../protocol/client-api.ts';
import { Api } from '../core/api.ts';
import { ApiError } from '../core/api-error.ts';
import { Auth } from '../core/auth.ts';
import { errorText } from '../core/error-text.ts';
import { Icon } from '../shared/icon.ts';
import { LanguageMenu } from '../shared/language-menu.ts';
import { Notice } from '../shared/notice.ts';
import { OrganisationMark } from '../shared/organisation-mark.ts';
import { When } from '../shared/when.ts';

function text(error: unknown): string {
  return error instanceof ApiError && error.status === 404
    ? $localize`:@@guest.invalid:This link is not valid (any more). Ask the person who invited you for a new one.`
    : errorText(error);
}

@Component({
  selector: 'ht-guest',
  imports: [
    MatButton,
    MatFormField,
    MatHint,
    MatLabel,
    MatInput,
    RouterLink,
    Icon,
    LanguageMenu,
    Notice,
    OrganisationMark,
    When,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './guest.html',
  styleUrl: '../shared/entry.scss',
})
export class Guest implements OnInit {
  readonly #api = inject(Api);
  readonly #auth = inject(Auth);
  readonly #router = inject(Router);
  readonly #destroyed = inject(DestroyRef);
  /** The secret part of the link. */
  readonly token = input.required<string>();
  protected readonly preview = signal<LinkPreview | undefined>(undefined);
  protected readonly name = signal('');
  protected readonly loggedIn = this.#auth.loggedIn;
  protected readonly userId = this.#auth.userId;
  protected readonly busy = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);

  ngOnInit(): void {
    this.#api.linkPreview(this.token()).then(
      (preview) => this.preview.set(preview),
      (error: unknown) => this.failure.set(text(error)),
    );
  }

  protected async enter(event: Event): Promise<void> {
    event.preventDefault();
    const name = this.name().trim();
    if (this.busy() || (!this.loggedIn() && name === '')) return;
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      const { roomId, session } = await this.#api.joinLink(this.token(), name);
      if (this.#destroyed.destroyed) return;
      if (session) this.#auth.enterAsGuest(session);
      await this.#router.navigate(['/meeting', roomId, 'lobby']);
    } catch (error) {
      this.failure.set(text(error));
    } finally {
      this.busy.set(false);
    }
  }

  protected login(): void {
    this.#auth.startLogin(`/join/${this.token()}`);
  }
}
