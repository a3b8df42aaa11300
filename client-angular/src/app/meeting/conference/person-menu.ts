/** What the own person may do about somebody, on the tile and in the list; nothing where that is nothing. */
import { CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import type { Participant } from '../../../../../protocol/session.ts';
import { Modules } from '../../conference/modules.ts';
import { ActionMenu } from '../../shared/action-menu.ts';
import { Icon } from '../../shared/icon.ts';
import { personName } from '../../shared/person-text.ts';

@Component({
  selector: 'ht-person-menu',
  imports: [ActionMenu, CdkMenuTrigger, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '[hidden]': '!any()' },
  template: `@if (any()) {
    <button
      type="button"
      data-testid="person-menu"
      [attr.aria-label]="label()"
      [title]="label()"
      [cdkMenuTriggerFor]="menu"
    >
      <ht-icon name="more" />
    </button>
    <ng-template #menu>
      <ht-action-menu [actions]="actions()" [label]="label()" />
    </ng-template>
  }`,
  styles: `
    button {
      display: grid;
      place-items: center;
      width: 44px;
      height: 44px;
      padding: 0;
      border: 0;
      border-radius: 50%;
      background: none;
      color: inherit;
      cursor: pointer;
    }
    button:hover {
      background: color-mix(in srgb, currentcolor 12%, transparent);
    }
  `,
})
export class PersonMenu {
  readonly participant = input.required<Participant>();
  readonly #modules = inject(Modules);
  protected readonly actions = computed(() => this.#modules.actionsOn([this.participant()]));
  protected readonly any = computed(() => this.actions().length > 0);
  protected readonly label = computed(() => {
    const name = personName(this.participant());
    return $localize`:@@person.actions:What you can do about ${name}:NAME:`;
  });
}
