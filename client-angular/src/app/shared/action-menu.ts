/** What can be done, as a menu: arrows go up and down, letters jump, Escape closes and brings the focus back. */
import { CdkMenu, CdkMenuItem } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import type { Action } from '../conference/meeting-module.ts';

/** Stands in the template of a `cdkMenuTriggerFor`. */
@Component({
  selector: 'ht-action-menu',
  imports: [CdkMenu, CdkMenuItem],
  changeDetection: ChangeDetectionStrategy.OnPush,
  // A named part of the page: what is opened here stands outside of all others.
  template: `<section [attr.aria-label]="label()">
    <div cdkMenu class="menu" [attr.aria-label]="label()">
      @for (action of actions(); track action.name) {
        <button
          cdkMenuItem
          type="button"
          [attr.data-testid]="action.name"
          [cdkMenuitemTypeaheadLabel]="action.text"
          (cdkMenuItemTriggered)="action.run()"
        >
          @if (action.glyph) {
            <span class="glyph" aria-hidden="true">{{ action.glyph }}</span>
          }
          <span>{{ action.text }}</span>
        </button>
      }
    </div>
  </section>`,
  styles: `
    .menu {
      display: flex;
      flex-direction: column;
      max-width: min(360px, 96vw);
      max-height: 80dvh;
      padding: 8px;
      border: 1px solid var(--mat-sys-outline);
      border-radius: var(--ht-radius);
      background: var(--mat-sys-surface-container-high);
      color: var(--mat-sys-on-surface);
      box-shadow: 0 8px 32px rgb(0 0 0 / 0.25);
      overflow: auto;
    }
    button {
      display: flex;
      align-items: center;
      gap: 12px;
      min-height: 44px;
      padding: 4px 16px 4px 12px;
      border: 0;
      border-radius: 8px;
      background: none;
      color: inherit;
      font: inherit;
      text-align: start;
      cursor: pointer;
    }
    button:hover,
    button:focus-visible {
      background: var(--mat-sys-surface-container-highest);
    }
    button:focus-visible {
      outline-offset: -2px;
    }
    .glyph {
      min-width: 1.4em;
      font-family: 'Noto Color Emoji', 'Apple Color Emoji', 'Segoe UI Emoji', sans-serif;
      font-size: 1.375rem;
      line-height: 1;
      text-align: center;
    }
  `,
})
export class ActionMenu {
  readonly actions = input.required<readonly Action[]>();
  readonly label = input.required<string>();
}
