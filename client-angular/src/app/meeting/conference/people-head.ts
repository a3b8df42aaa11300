/** The head of the people panel: what whoever leads can do about the whole meeting. Nothing where that is nothing. */
import { CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { MEETING_ACTION_PARTS, type MeetingAction } from '../../conference/meeting-module.ts';
import { Modules } from '../../conference/modules.ts';
import { Announcements } from '../../core/announcements.ts';
import { ActionMenu } from '../../shared/action-menu.ts';
import { Icon } from '../../shared/icon.ts';

@Component({
  selector: 'ht-people-head',
  imports: [ActionMenu, CdkMenuTrigger, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { role: 'group', '[attr.aria-label]': 'label', '[hidden]': 'actions().length === 0' },
  template: `@for (action of head(); track action.name) {
      <button
        type="button"
        [attr.data-testid]="action.name"
        [class.idle]="action.off"
        [class.on]="action.pressed"
        [attr.aria-pressed]="action.pressed"
        [attr.aria-disabled]="action.off ? true : null"
        [attr.title]="action.off ?? action.hint"
        (click)="press(action)"
      >
        @if (action.icon; as icon) {
          <ht-icon [drawing]="icon" />
        }
        <span>{{ action.text }}</span>
      </button>
    }
    @if (more().length > 0) {
      <button
        class="more"
        type="button"
        data-testid="meeting-actions"
        [attr.aria-label]="moreLabel"
        [title]="moreLabel"
        [cdkMenuTriggerFor]="menu"
      >
        <ht-icon name="more" />
      </button>
      <ng-template #menu>
        <ht-action-menu [actions]="more()" [label]="moreLabel" />
      </ng-template>
    }`,
  styleUrl: './people-head.scss',
})
export class PeopleHead {
  readonly #modules = inject(Modules);
  readonly #announcements = inject(Announcements);
  protected readonly actions = computed(() => this.#modules.actionsOnAll());
  protected readonly head = computed(() => this.actions().filter(({ place }) => place === 'head'));
  protected readonly more = computed(() => {
    const more = this.actions().flatMap((action) =>
      action.place === 'more' ? { ...action, part: action.part ?? 'rules' } : [],
    );
    return MEETING_ACTION_PARTS.flatMap((name) => more.filter(({ part }) => part === name));
  });
  protected readonly label = $localize`:@@people.forAll:For everybody in the meeting`;
  protected readonly moreLabel = $localize`:@@people.forAllMore:More for the whole meeting`;

  protected press({ off, run }: MeetingAction): void {
    if (off === undefined) run();
    else this.#announcements.now(off);
  }
}
