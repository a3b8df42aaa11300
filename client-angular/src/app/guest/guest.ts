/** Entry by link: a guest says a name; somebody who is logged in goes straight on. */
import {
  ChangeDetectionStrategy,
  Component,
  computed,
  DestroyRef,
  type ElementRef,
  inject,
  input,
  type OnInit,
  signal,
  viewChild,
} from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatFormField, MatHint, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import { Router, RouterLink } from '@angular/router';
import { type JoinLinkResult, LINK_ERRORS, type LinkPreview } from '../../../../protocol/guest-links.ts';
import { displayName } from '../../../../protocol/display-text.ts';
import { Api } from '../core/api.ts';
import { ApiError } from '../core/api-error.ts';
import { Auth } from '../core/auth.ts';
import { isOver, linkErrorText } from '../core/link-error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { readToken } from '../core/read-link.ts';
import { Icon } from '../shared/icon.ts';
import { LanguageMenu } from '../shared/language-menu.ts';
import { LegalLinks } from '../shared/legal-links.ts';
import { Notice } from '../shared/notice.ts';
import { OrganisationMark } from '../shared/organisation-mark.ts';
import { When } from '../shared/when.ts';
import { OwnOrganisation } from './own-organisation.ts';

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
    LegalLinks,
    Notice,
    OrganisationMark,
    OwnOrganisation,
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
  readonly #names = inject(OrganisationNames);
  /** The secret part of the link. */
  readonly token = input.required<string>();
  protected readonly preview = signal<LinkPreview | undefined>(undefined);
  protected readonly name = signal('');
  protected readonly nameMissing = signal(false);
  /** A guest's session of this tab, running or over, is no log-in: guests say their name. */
  protected readonly member = computed(() => this.#auth.loggedIn() && !this.#auth.guest());
  protected readonly userId = this.#auth.userId;
  protected readonly guestEnded = computed(() => this.#auth.ended()?.guest === true);
  protected readonly busy = signal(false);
  /** `again`: the same link may work later. */
  protected readonly failure = signal<{ text: string; again: boolean } | undefined>(undefined);
  /** What was typed as the password of the link. */
  protected readonly password = signal('');
  /** `missing`: none was typed; `wrong`: it was another one; `later`: too many were. */
  protected readonly passwordProblem = signal<'missing' | 'wrong' | 'later' | undefined>(undefined);
  /** Guests stay out at present. */
  protected readonly noGuests = computed(() => this.preview()?.guests === 'no' && !this.member());
  protected readonly passwordField = viewChild<ElementRef<HTMLInputElement>>('passwordField');
  protected readonly nameField = viewChild<ElementRef<HTMLInputElement>>('field');

  ngOnInit(): void {
    const token = readToken(this.token());
    if (token !== undefined && token !== this.token()) {
      // The address came with the full stop or the bracket of a mail.
      void this.#router.navigate(['/join', token], { replaceUrl: true });
      // The component stays and gets the new token.
    }
    this.name.set(this.#auth.guestLink()?.name ?? '');
    void this.load();
  }

  protected async load(): Promise<void> {
    this.failure.set(undefined);
    try {
      this.preview.set(await this.#api.linkPreview(this.#token()));
    } catch (error) {
      this.#fail(error);
    }
  }

  protected async enter(event: Event): Promise<void> {
    event.preventDefault();
    const name = this.name().trim();
    this.nameMissing.set(!this.member() && displayName(name) === undefined);
    if (this.nameMissing()) this.nameField()?.nativeElement.focus();
    if (this.busy() || this.nameMissing()) return;
    this.busy.set(true);
    this.passwordProblem.set(undefined);
    this.failure.set(undefined);
    try {
      const { roomId } = this.member()
        ? await this.#api.joinLink(this.#token(), this.given())
        : await this.#enterAsGuest(name);
      if (this.#destroyed.destroyed) return;
      await this.#router.navigate(['/meeting', roomId, 'lobby']);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.busy.set(false);
    }
  }

  /** Goes on with the guest's session of this tab if it is of this link and name and still alive, else begins one. */
  async #enterAsGuest(name: string): Promise<JoinLinkResult> {
    const token = this.#token();
    const before = this.#auth.guestLink();
    if (this.#auth.guest() && before?.token === token && before.name === name) {
      try {
        return await this.#api.joinLink(token, this.given());
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 401) throw error;
      }
    }
    const result = await this.#api.joinLinkAsGuest(token, name, this.given());
    if (result.session && !this.#destroyed.destroyed)
      this.#auth.enterAsGuest(result.session, { token, roomId: result.roomId, name });
    return result;
  }

  protected login(): void {
    this.#auth.startLogin(`/join/${this.#token()}`);
  }

  /** The password, where the link asks for one. */
  protected given(): string | undefined {
    return this.preview()?.password === true && this.password() !== '' ? this.password() : undefined;
  }

  protected wrongPassword(): void {
    this.passwordProblem.set(this.password() === '' ? 'missing' : 'wrong');
    this.passwordField()?.nativeElement.focus();
  }

  #token(): string {
    return readToken(this.token()) ?? this.token();
  }

  #fail(error: unknown): void {
    if (error instanceof ApiError && this.preview()?.password === true) {
      if (error.errcode === LINK_ERRORS.password) return this.wrongPassword();
      if (error.status === 429) return this.passwordProblem.set('later');
    }
    this.failure.set({ text: linkErrorText(error, this.#names.of), again: !isOver(error) });
  }
}
