/** The pages that an organisation has to show; nothing where it has none. */
import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import type { Legal } from '../../../../protocol/client-api.ts';

@Component({
  selector: 'ht-legal-links',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (legal().imprint ?? legal().privacy) {
    <nav data-testid="legal-links" i18n-aria-label="@@legal.label" aria-label="Legal information">
      @if (legal().imprint; as imprint) {
        <a [href]="imprint" target="_blank" rel="noopener" i18n="@@legal.imprint">Imprint</a>
      }
      @if (legal().privacy; as privacy) {
        <a [href]="privacy" target="_blank" rel="noopener" i18n="@@legal.privacy">Privacy</a>
      }
    </nav>
  }`,
  styles: `
    nav {
      display: flex;
      flex-wrap: wrap;
      gap: 4px 8px;
    }
    a {
      display: inline-flex;
      align-items: center;
      min-height: 44px;
      padding: 0 12px;
      border-radius: var(--ht-radius);
      color: var(--mat-sys-on-surface-variant);
    }
    a:hover {
      background: color-mix(in srgb, var(--mat-sys-primary) 10%, transparent);
    }
  `,
})
export class LegalLinks {
  readonly legal = input.required<Legal>();
}
