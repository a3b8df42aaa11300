/** The question over the stage whether somebody who is alone wants to stay. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { Alone } from './alone.ts';

@Component({
  selector: 'ht-alone-question',
  imports: [MatButton],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (alone.question(); as question) {
    <div class="card" role="group" aria-labelledby="alone-question" data-testid="alone-question">
      <p id="alone-question">{{ question }}</p>
      <button matButton="filled" type="button" data-testid="alone-stay" (click)="alone.stay()" i18n="@@alone.stay">
        Stay
      </button>
    </div>
  }`,
  styles: `
    :host {
      display: flex;
      justify-content: center;
      padding: 0 8px 8px;
    }
    .card {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 12px 20px;
      max-width: 640px;
      padding: 16px 20px;
      border-radius: 20px;
      background: var(--mat-sys-surface-container-low);
      color: var(--mat-sys-on-surface);
      pointer-events: auto;
    }
    p {
      flex: 1 1 16rem;
    }
  `,
})
export class AloneQuestion {
  protected readonly alone = inject(Alone);
}
