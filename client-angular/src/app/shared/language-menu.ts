/** Language and theme: two quiet choices at the foot of the entry pages. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { LANGUAGES, Languages } from '../core/languages.ts';

@Component({
  selector: 'ht-language-menu',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nav i18n-aria-label="@@language.label" aria-label="Language">
    @for (language of all; track language.code) {
      <button
        type="button"
        [attr.lang]="language.code"
        [attr.aria-current]="language.code === languages.current ? 'true' : null"
        (click)="languages.change(language.code)"
      >
        {{ language.name }}
      </button>
    }
  </nav>`,
  styles: `
    nav {
      display: flex;
      gap: 4px;
    }
    button {
      min-width: 44px;
      min-height: 44px;
      padding: 0 12px;
      border: 0;
      border-radius: var(--ht-radius);
      background: none;
      color: var(--mat-sys-on-surface-variant);
      font: inherit;
      cursor: pointer;
    }
    button[aria-current] {
      color: var(--mat-sys-primary);
      font-weight: 650;
    }
    button:hover {
      background: color-mix(in srgb, var(--mat-sys-primary) 10%, transparent);
    }
  `,
})
export class LanguageMenu {
  protected readonly languages = inject(Languages);
  protected readonly all = LANGUAGES;
}
