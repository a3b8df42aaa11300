/** The way from a guest link to the person's own organisation, where they have an account. */
import {
  afterNextRender,
  ChangeDetectionStrategy,
  Component,
  type ElementRef,
  inject,
  Injector,
  input,
  output,
  signal,
  viewChild,
} from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatFormField, MatHint, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import { LINK_ERRORS } from '../../../../protocol/guest-links.ts';
import { Api } from '../core/api.ts';
import { ApiError } from '../core/api-error.ts';
import { Away } from '../core/away.ts';
import { linkErrorText } from '../core/link-error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { Icon } from '../shared/icon.ts';
import { Notice } from '../shared/notice.ts';

@Component({
  selector: 'ht-own-organisation',
  imports: [MatButton, MatFormField, MatHint, MatInput, MatLabel, Icon, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (open()) {
      <form novalidate data-testid="own-organisation" (submit)="go($event)">
        <mat-form-field>
          <mat-label i18n="@@guest.organisation">Your organisation</mat-label>
          <input
            #field
            matInput
            autocomplete="organization"
            autocapitalize="off"
            spellcheck="false"
            maxlength="1000"
            placeholder="hamburg.example"
            data-testid="organisation-name"
            [value]="name()"
            [attr.aria-invalid]="failure() !== undefined"
            (input)="name.set(field.value); failure.set(undefined)"
          />
          <mat-hint i18n="@@guest.organisationHint"
            >As it stands at the end of your Matrix id or mail address.</mat-hint
          >
        </mat-form-field>
        @if (failure(); as failure) {
          <ht-notice data-testid="organisation-failure">{{ failure }}</ht-notice>
        }
        <button
          matButton="tonal"
          type="submit"
          data-testid="go-to-organisation"
          disabledInteractive
          [disabled]="busy()"
          i18n="@@guest.goThere"
        >
          Go on there
        </button>
      </form>
    } @else {
      <p class="hint">
        <ht-icon name="link" />
        <span>
          <ng-container i18n="@@guest.elsewhere">Your organisation has Hansetag, too?</ng-container>
          <button
            class="inline"
            type="button"
            data-testid="join-with-organisation"
            (click)="begin()"
            i18n="@@guest.withOrganisation"
          >
            Join with your own organisation
          </button>
        </span>
      </p>
    }`,
  styleUrl: '../shared/entry.scss',
  styles: `
    :host {
      min-height: 0;
    }
  `,
})
export class OwnOrganisation {
  readonly #api = inject(Api);
  readonly #away = inject(Away);
  readonly #names = inject(OrganisationNames);
  readonly #injector = inject(Injector);
  /** The secret part of the link. */
  readonly token = input.required<string>();
  /** What was typed as the link's password. */
  readonly password = input<string>();
  /** The link's password is missing, or is another one. */
  readonly passwordWrong = output();
  protected readonly open = signal(false);
  protected readonly name = signal('');
  protected readonly busy = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);
  protected readonly field = viewChild<ElementRef<HTMLInputElement>>('field');

  protected begin(): void {
    this.open.set(true);
    afterNextRender({ read: () => this.field()?.nativeElement.focus() }, { injector: this.#injector });
  }

  protected async go(event: Event): Promise<void> {
    event.preventDefault();
    const name = this.name().trim();
    if (this.busy()) return;
    if (name === '') {
      this.failure.set($localize`:@@guest.organisationMissing:Please type the name of your organisation’s server.`);
      this.field()?.nativeElement.focus();
      return;
    }
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      const { url } = await this.#api.goElsewhere(this.token(), name, this.password());
      this.#away.go(url);
    } catch (error) {
      if (error instanceof ApiError && error.errcode === LINK_ERRORS.password) this.passwordWrong.emit();
      else this.failure.set(this.#text(error, name));
    } finally {
      this.busy.set(false);
    }
  }

  #text(error: unknown, name: string): string {
    if (!(error instanceof ApiError) || error.status !== 403 || error.organisation === undefined) {
      return linkErrorText(error, this.#names.of);
    }
    return error.untrusted === undefined
      ? $localize`:@@guest.organisationOut:${name}:NAME: is not let into this meeting. Ask the person who invited you.`
      : $localize`:@@guest.notConnected:${name}:NAME: is not among the organisations that are connected to this one. Check the spelling, or enter as a guest.`;
  }
}
