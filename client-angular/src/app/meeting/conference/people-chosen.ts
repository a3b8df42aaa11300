/** How many people are chosen, and what can be done about them. */
import { CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, inject, output } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { Modules } from '../../conference/modules.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { ActionMenu } from '../../shared/action-menu.ts';

@Component({
  selector: 'ht-people-chosen',
  imports: [ActionMenu, CdkMenuTrigger, MatButton],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { role: 'group', '[attr.aria-label]': 'label', 'data-testid': 'people-chosen' },
  template: `<p role="status">
      @switch (count()) {
        @case (0) {
          <ng-container i18n="@@people.chooseSome">Tick people above.</ng-container>
        }
        @case (1) {
          <ng-container i18n="@@people.oneChosen">1 person selected</ng-container>
        }
        @default {
          <ng-container i18n="@@people.manyChosen">{{ count() }} people selected</ng-container>
        }
      }
    </p>
    <button matButton type="button" data-testid="selected-done" (click)="done.emit()">
      <span i18n="@@people.selectDone">Done</span>
    </button>
    @if (count() > 0) {
      <button matButton="filled" type="button" data-testid="selected-actions" [cdkMenuTriggerFor]="menu">
        <span i18n="@@people.chosenActions">Choose an action …</span>
      </button>
      <ng-template #menu>
        <ht-action-menu [actions]="actions()" [label]="label" />
      </ng-template>
    }`,
  styles: `
    :host {
      display: flex;
      flex: none;
      flex-wrap: wrap;
      align-items: center;
      gap: 4px 8px;
      padding: 8px 16px max(8px, env(safe-area-inset-bottom));
      border-top: 1px solid var(--mat-sys-outline-variant);
      background: var(--mat-sys-surface-container);
    }
    p {
      flex: 1 0 auto;
      margin: 0;
    }
    /* A phone on its side has little height: the ticks are seen. */
    @media (max-height: 480px) {
      :host {
        flex-wrap: nowrap;
        padding-block: 4px;
      }
      p {
        flex: 0 1 auto;
        font-size: 0.8125rem;
        line-height: 1.2;
      }
    }
  `,
})
export class PeopleChosen {
  readonly #modules = inject(Modules);
  readonly #chosen = inject(PeopleView).chosen;
  /** No more is to be done about them. */
  readonly done = output();
  protected readonly count = computed(() => this.#chosen().length);
  protected readonly actions = computed(() => this.#modules.actionsOn(this.#chosen()));
  protected readonly label = $localize`:@@people.chosenLabel:Selected people`;
}
