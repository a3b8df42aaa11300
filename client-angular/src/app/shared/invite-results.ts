/** What became of each invitation, in words, as the answers come. */
import { ChangeDetectionStrategy, Component, inject, input } from '@angular/core';
import { OrganisationNames } from '../core/organisation-names.ts';
import { Icon } from './icon.ts';
import { type Invitation, stateOf } from './invitation.ts';
import { invitationText } from './invitation-text.ts';

const ICONS = { waiting: 'clock', good: 'check', bad: 'warning' } as const;

@Component({
  selector: 'ht-invite-results',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<div role="status">
    <ul>
      @for (invitation of invitations(); track invitation.userId) {
        @let state = stateOf(invitation);
        <li
          [class]="state"
          data-testid="invite-result"
          [attr.data-ok]="state === 'good'"
          [attr.data-outcome]="invitation.outcome"
        >
          <ht-icon [name]="icons[state]" />
          <span>
            <strong
              ><bdi>{{ invitation.userId }}</bdi></strong
            >
            {{ text(invitation) }}
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
      color: var(--mat-sys-on-surface-variant);
    }
    span {
      min-width: 0;
      color: var(--mat-sys-on-surface);
    }
    .good {
      color: var(--ht-good);
    }
    .bad {
      color: var(--mat-sys-error);
    }
  `,
})
export class InviteResults {
  readonly invitations = input.required<readonly Invitation[]>();
  readonly #names = inject(OrganisationNames);
  protected readonly icons = ICONS;
  protected readonly stateOf = stateOf;

  protected text(invitation: Invitation): string {
    return invitationText(invitation, this.#names.of);
  }
}
