/** Somebody with a guest link of another organisation comes to their own: to enter that meeting with their account. */
import { ChangeDetectionStrategy, Component, computed, inject, input, type OnInit, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { Router, RouterLink } from '@angular/router';
import type { Organisation } from '../../../../protocol/session.ts';
import { Api } from '../core/api.ts';
import { Auth } from '../core/auth.ts';
import { isOver, linkErrorText } from '../core/link-error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { LanguageMenu } from '../shared/language-menu.ts';
import { Notice } from '../shared/notice.ts';
import { OrganisationMark } from '../shared/organisation-mark.ts';

@Component({
  selector: 'ht-join-from',
  imports: [MatButton, RouterLink, LanguageMenu, Notice, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<main class="entry">
    <div class="card" data-testid="join-from">
      <p class="soft" i18n="@@joinFrom.invitation">You are invited to a meeting of</p>
      <h1>
        @if (organisation(); as organisation) {
          <ht-organisation-mark [organisation]="organisation" />
        } @else {
          <bdi>{{ server() }}</bdi>
        }
      </h1>
      @if (guest()) {
        <ht-notice kind="hint" i18n="@@joinFrom.guest"
          >You are here as a guest. Log in to enter with your account.</ht-notice
        >
        <button matButton="filled" type="button" (click)="login()" i18n="@@joinFrom.login">Log in</button>
      } @else {
        <p class="soft" i18n="@@joinFrom.as">
          You enter with your account <bdi>{{ userId() }}</bdi>. The other organisation learns this id and your name.
        </p>
        @if (failure(); as failure) {
          <ht-notice data-testid="join-from-failure">{{ failure.text }}</ht-notice>
        }
        @if (failure()?.again ?? true) {
          <button
            matButton="filled"
            type="button"
            data-testid="join-from-go"
            disabledInteractive
            [disabled]="busy()"
            (click)="join()"
            i18n="@@joinFrom.join"
          >
            Enter the meeting
          </button>
        }
        <a matButton="outlined" routerLink="/" i18n="@@guest.toStart">To the start page</a>
      }
    </div>
    <ht-language-menu />
  </main>`,
  styleUrl: '../shared/entry.scss',
})
export class JoinFrom implements OnInit {
  readonly #api = inject(Api);
  readonly #auth = inject(Auth);
  readonly #router = inject(Router);
  readonly #names = inject(OrganisationNames);
  /** Query parameters: the server that has made the code, and the code. */
  readonly server = input('');
  readonly code = input('');
  protected readonly userId = this.#auth.userId;
  protected readonly guest = computed(() => this.#auth.guest());
  protected readonly organisation = signal<Organisation | undefined>(undefined);
  protected readonly busy = signal(false);
  /** `again`: the same code may work later. */
  protected readonly failure = signal<{ text: string; again: boolean } | undefined>(undefined);

  ngOnInit(): void {
    if (!this.guest()) void this.#load();
  }

  async #load(): Promise<void> {
    try {
      this.organisation.set(await this.#api.joinFromPreview(this.server()));
    } catch (error) {
      this.#fail(error);
    }
  }

  protected async join(): Promise<void> {
    if (this.busy()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      const { roomId } = await this.#api.joinFrom(this.server(), this.code());
      await this.#router.navigate(['/meeting', roomId, 'lobby'], { replaceUrl: true });
    } catch (error) {
      this.#fail(error);
    } finally {
      this.busy.set(false);
    }
  }

  protected login(): void {
    const query = new URLSearchParams({ server: this.server(), code: this.code() });
    this.#auth.startLogin(`/join-from?${query.toString()}`);
  }

  #fail(error: unknown): void {
    this.failure.set({ text: linkErrorText(error, this.#names.of), again: !isOver(error) });
  }
}
