/** The head of the quiet pages: where am I, who am I, and the few personal choices. */
import { ChangeDetectionStrategy, Component, computed, inject, type OnInit } from '@angular/core';
import { MatIconButton } from '@angular/material/button';
import { MatDivider } from '@angular/material/divider';
import { MatMenu, MatMenuItem, MatMenuTrigger } from '@angular/material/menu';
import { RouterLink } from '@angular/router';
import { Api } from '../core/api.ts';
import { Auth } from '../core/auth.ts';
import { LANGUAGES, Languages } from '../core/languages.ts';
import { Theme } from '../core/theme.ts';
import { Session } from '../session/session.ts';
import { Icon } from './icon.ts';
import { OrganisationMark } from './organisation-mark.ts';

@Component({
  selector: 'ht-header',
  imports: [MatIconButton, MatDivider, MatMenu, MatMenuItem, MatMenuTrigger, RouterLink, Icon, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './header.html',
  styleUrl: './header.scss',
})
export class Header implements OnInit {
  readonly #api = inject(Api);
  protected readonly auth = inject(Auth);
  protected readonly theme = inject(Theme);
  protected readonly languages = inject(Languages);
  protected readonly allLanguages = LANGUAGES;
  readonly #session = inject(Session);
  protected readonly organisation = computed(
    () => this.#session.hello()?.organisation ?? this.#api.info()?.organisation,
  );
  protected readonly name = computed(() => this.#session.hello()?.displayName ?? this.auth.userId() ?? '');

  ngOnInit(): void {
    // Without an answer the head only lacks the organisation's name.
    this.#api.loadInfo().catch(() => undefined);
  }

  protected logout(): void {
    void this.auth.logout();
  }
}
