/** Says at the head of any page that the server has put requests off, and when they are sent again. */
import { ChangeDetectionStrategy, Component, computed } from '@angular/core';
import { postponed } from '../core/request.ts';
import { Notice } from './notice.ts';

@Component({
  selector: 'ht-postponed',
  imports: [Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (waits()) {
    <ht-notice kind="hint" data-testid="postponed" i18n="@@error.postponed"
      >Very many requests reach your organisation’s server at the moment. Yours is sent again by itself in a few
      seconds.</ht-notice
    >
  }`,
  styles: `
    :host {
      position: fixed;
      inset: max(16px, env(safe-area-inset-top)) 16px auto;
      z-index: 2000;
      width: fit-content;
      max-width: min(560px, calc(100vw - 32px));
      margin: 0 auto;
    }
  `,
})
export class Postponed {
  protected readonly waits = computed(() => postponed().length > 0);
}
