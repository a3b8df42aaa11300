/** A sentence that matters, in place: an error, a warning or a hint. Announced when it appears. */
import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import { Icon } from './icon.ts';

@Component({
  selector: 'ht-notice',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '[attr.role]': "kind() === 'error' ? 'alert' : 'status'", '[class]': 'kind()' },
  template: `<ht-icon name="warning" /><span><ng-content /></span>`,
  styles: `
    :host {
      display: flex;
      align-items: flex-start;
      gap: 12px;
      padding: 12px 16px;
      border-radius: var(--ht-radius);
      background: var(--mat-sys-secondary-container);
      color: var(--mat-sys-on-secondary-container);
    }
    :host(.error) {
      background: var(--mat-sys-error-container);
      color: var(--mat-sys-on-error-container);
    }
  `,
})
export class Notice {
  readonly kind = input<'error' | 'hint'>('error');
}
