/** The log-in page: one button to the organisation's identity provider, and the way back from there. */
import { ChangeDetectionStrategy, Component, computed, inject, input, type OnInit, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { Router } from '@angular/router';
import { Api } from '../core/api.ts';
import { Auth } from '../core/auth.ts';
import { errorText } from '../core/error-text.ts';
import { Icon } from '../shared/icon.ts';
import { LanguageMenu } from '../shared/language-menu.ts';
import { LegalLinks } from '../shared/legal-links.ts';
import { Notice } from '../shared/notice.ts';
import { OrganisationMark } from '../shared/organisation-mark.ts';

@Component({
  selector: 'ht-login',
  imports: [MatButton, Icon, LanguageMenu, LegalLinks, Notice, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './login.html',
  styleUrl: '../shared/entry.scss',
})
export class Login implements OnInit {
  readonly #auth = inject(Auth);
  readonly #router = inject(Router);
  readonly #api = inject(Api);
  /** Query parameters: where to go afterwards, and the token that the identity provider sent back. */
  readonly then = input<string>();
  readonly loginToken = input<string>();
  /** By what the log-in that comes back is known in this tab. */
  readonly attempt = input<string>();
  protected readonly info = this.#api.info;
  /** What the person hears about why this page has come. */
  protected readonly ended = computed(() => {
    const end = this.#auth.ended();
    if (!end || this.busy()) return undefined;
    if (end.guest) return 'guest';
    return this.then()?.startsWith('/meeting/') ? 'meeting' : 'page';
  });
  protected readonly failure = signal<string | undefined>(undefined);
  protected readonly busy = signal(false);

  ngOnInit(): void {
    this.#api.loadInfo().catch((error: unknown) => this.failure.set(errorText(error)));
    const token = this.loginToken();
    if (token !== undefined) void this.#finish(token);
    // A guest may have an account as well.
    else if (this.#auth.loggedIn() && !this.#auth.guest()) void this.#router.navigateByUrl(this.then() ?? '/');
  }

  protected login(): void {
    if (this.busy()) return;
    this.busy.set(true);
    this.#auth.startLogin(this.then() ?? '/');
  }

  async #finish(token: string): Promise<void> {
    this.busy.set(true);
    try {
      if (!this.#auth.isOwnLogin(this.attempt())) return await this.#startAgain(notStartedHere());
      const then = await this.#auth.finishLogin(token);
      await this.#router.navigateByUrl(then, { replaceUrl: true });
    } catch (error) {
      await this.#startAgain(errorText(error));
    }
  }

  /** The token is spent or not to be used: it does not stay in the address. The place that the person wanted does. */
  async #startAgain(failure: string): Promise<void> {
    this.failure.set(failure);
    this.busy.set(false);
    const then = this.#auth.afterLogin();
    await this.#router.navigate(['/login'], { replaceUrl: true, queryParams: then === '/' ? {} : { then } });
  }
}

function notStartedHere(): string {
  return $localize`:@@login.notStartedHere:This log-in was not started in this window, so it was not used. Log in here again.`;
}
