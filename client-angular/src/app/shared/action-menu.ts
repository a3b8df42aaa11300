/**
 * What can be done, as a menu: arrows go up and down, letters jump, Escape closes and brings the focus back. On a phone it
 * is a sheet.
 */
import { CdkMenu, CdkMenuItem } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, input, untracked } from '@angular/core';
import type { Action } from '../conference/meeting-module.ts';
import { Icon } from './icon.ts';

/** An action that may stand in a part of the menu of its own. */
type MenuAction = Action & { readonly part?: string };

/** Stands in the template of a `cdkMenuTriggerFor`. */
@Component({
  selector: 'ht-action-menu',
  imports: [CdkMenu, CdkMenuItem, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  // A named part of the page: what is opened here stands outside of all others.
  template: `<section [attr.aria-label]="label()">
    <div cdkMenu class="menu" [attr.aria-label]="label()">
      <p class="title" aria-hidden="true">{{ label() }}</p>
      @for (action of shown(); track action.name; let index = $index) {
        @if (begins(index)) {
          <hr />
        }
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
          @if (action.icon; as icon) {
            <ht-icon [drawing]="icon" />
          }
          <span>{{ action.text }}</span>
        </button>
      }
    </div>
  </section>`,
  styleUrl: './action-menu.scss',
})
export class ActionMenu {
  readonly actions = input.required<readonly MenuAction[]>();
  readonly label = input.required<string>();
  /** Those of the moment in which the menu was opened: nothing moves away under the pointer. */
  protected readonly shown = computed(() => untracked(this.actions));

  /** Whether a part of the menu begins here that is not the first. */
  protected begins(index: number): boolean {
    const [before, action] = [this.shown()[index - 1], this.shown()[index]];
    return before !== undefined && before.part !== action?.part;
  }
}
