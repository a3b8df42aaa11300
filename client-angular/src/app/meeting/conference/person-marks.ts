/** What modules say of a person, on the tile and in the list: an icon with a few letters, and the whole in words. */
import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import type { PersonMark } from '../../conference/meeting-module.ts';
import { Icon } from '../../shared/icon.ts';

@Component({
  selector: 'ht-person-marks',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@for (mark of marks(); track mark.name) {
    <span class="mark" [attr.data-testid]="mark.name + '-mark'" [title]="mark.label">
      <ht-icon [drawing]="mark.icon" />
      <span aria-hidden="true">{{ mark.text }}</span>
      <span class="visually-hidden">{{ mark.label }}</span>
    </span>
  }`,
  styles: `
    :host {
      display: inline-flex;
      flex: none;
      gap: 4px;
    }
    .mark {
      display: inline-flex;
      align-items: center;
      gap: 4px;
      padding: 2px 8px 2px 6px;
      border: 1px solid transparent;
      border-radius: 8px;
      background: #f2bd6c;
      color: #231a08;
      font-size: 0.9375rem;
      font-weight: 650;
      line-height: 1.4;
      font-variant-numeric: tabular-nums;
    }
  `,
})
export class PersonMarks {
  readonly marks = input.required<readonly PersonMark[]>();
}
