/** The head of the quiet pages: where am I, who am I, and the few personal choices. */
import {
  ChangeDetectionStrategy,
  Component,
  computed,
  type ElementRef,
  inject,
  type OnInit,
  viewChild,
} from '@angular/core';
import { MatButton, MatIconButton } from '@angular/material/button';
import { RouterLink } from '@angular/router';
import { Api } from '../core/api.ts';
import { Auth } from '../core/auth.ts';
import { Theme, type ThemeChoice } from '../core/theme.ts';
import { Session } from '../session/session.ts';
import { Icon } from './icon.ts';
import { LanguageMenu } from './language-menu.ts';
import { LegalLinks } from './legal-links.ts';
import { OrganisationMark } from './organisation-mark.ts';
import { KeysMap } from './keys-map.ts';

@Component({
  selector: 'ht-header',
  imports: [MatButton, MatIconButton, RouterLink, Icon, LanguageMenu, LegalLinks, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './header.html',
  styleUrl: './header.scss',
})
export class Header implements OnInit {
  readonly #api = inject(Api);
  protected readonly auth = inject(Auth);
  protected readonly theme = inject(Theme);
  protected readonly themes: readonly { value: ThemeChoice; text: string }[] = [
    { value: 'system', text: $localize`:@@theme.system:As the system` },
    { value: 'light', text: $localize`:@@theme.light:Light` },
    { value: 'dark', text: $localize`:@@theme.dark:Dark` },
  ];
  protected readonly account = viewChild.required<ElementRef<HTMLElement>>('account');
  readonly #keysMap = inject(KeysMap);
  readonly #session = inject(Session);
  protected readonly organisation = computed(() => this.#api.own() ?? this.#api.info());
  protected readonly name = computed(() => this.#session.hello()?.displayName ?? this.auth.userId() ?? '');

  ngOnInit(): void {
    // Without an answer the head only lacks the organisation's name.
    this.#api
      .loadOwn()
      .catch(() => this.#api.loadInfo())
      .catch(() => undefined);
  }

  protected showKeys(): void {
    this.account().nativeElement.hidePopover();
    void this.#keysMap.show();
  }

  protected logout(): void {
    void this.auth.logout();
  }
}
