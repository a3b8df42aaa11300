/** What became of each invitation, in words. */
import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import type { InviteResult } from '../../../../protocol/client-api.ts';
import { Icon } from './icon.ts';

type Result = InviteResult['results'][number];

function reason(result: Result): string {
  const server = result.organisation ?? result.userId.slice(result.userId.indexOf(':') + 1);
  switch (result.errcode) {
    case 'M_NOT_FOUND':
      return $localize`:@@invite.unknown:${server}:ORGANISATION: does not know this person.`;
    case 'M_FORBIDDEN':
      return $localize`:@@invite.forbidden:${server}:ORGANISATION: does not accept this invitation, or the person is already there.`;
    default:
      return $localize`:@@invite.unreachable:${server}:ORGANISATION: could not be reached. Try again later.`;
  }
}

@Component({
  selector: 'ht-invite-results',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<div role="status">
    <ul>
      @for (result of results(); track result.userId) {
        <li [class.bad]="!result.ok" data-testid="invite-result" [attr.data-ok]="result.ok">
          <ht-icon [name]="result.ok ? 'check' : 'warning'" />
          <span>
            <strong>{{ result.userId }}</strong>
            @if (result.ok) {
              <ng-container i18n="@@invite.done">is invited.</ng-container>
            } @else {
              {{ why(result) }}
            }
          </span>
        </li>
      }
    </ul>
  </div>`,
  styles: `
    ul {
      display: flex;
      flex-direction: column;
      gap: 8px;
      margin: 0;
      padding: 0;
      list-style: none;
    }
    li {
      display: flex;
      gap: 12px;
      overflow-wrap: anywhere;
      color: var(--ht-good);
    }
    span {
      color: var(--mat-sys-on-surface);
    }
    .bad {
      color: var(--mat-sys-error);
    }
  `,
})
export class InviteResults {
  readonly results = input.required<InviteResult['results']>();
  protected readonly why = reason;
}
