/** "Connections": how each other organisation is reached, and how well. */
import { ChangeDetectionStrategy, Component, inject, LOCALE_ID } from '@angular/core';
import type { LinkState } from '../../../../../protocol/session.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Session } from '../../session/session.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { linkAdvice, linkText } from './link-text.ts';

@Component({
  selector: 'ht-connections-panel',
  imports: [OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<ul>
    <li data-testid="own-connection">
      <div class="line">
        @if (session.hello(); as hello) {
          <ht-organisation-mark [organisation]="hello.organisation" />
        }
        <span class="state" [attr.data-state]="session.state() === 'open' ? 'connected' : 'interrupted'">
          @if (session.state() === 'open') {
            <ng-container i18n="@@connections.ownGood">good</ng-container>
          } @else {
            <ng-container i18n="@@connections.ownLost">interrupted</ng-container>
          }
        </span>
      </div>
      <p i18n="@@connections.own">Your own organisation: all your sound and pictures go through its server only.</p>
    </li>
    @for (link of store.links(); track link.organisation) {
      <li>
        <div class="line">
          <ht-organisation-mark [organisation]="store.organisation(link.organisation)" />
          <span class="state" [attr.data-state]="link.state">{{ text(link) }}</span>
        </div>
        <p>{{ advice(link) }}</p>
        <p class="figures">
          <span i18n="@@connections.since">since {{ time(link.since) }}</span>
          @if (link.roundTripMs !== undefined) {
            <span i18n="@@connections.roundTrip">round trip {{ round(link.roundTripMs) }} ms</span>
          }
          @if (link.loss !== undefined) {
            <span i18n="@@connections.loss">loss {{ percent(link.loss) }}</span>
          }
        </p>
      </li>
    } @empty {
      <li>
        <p i18n="@@connections.none">Nobody of another organisation is here at the moment.</p>
      </li>
    }
  </ul>`,
  styleUrl: './connections-panel.scss',
})
export class ConnectionsPanel {
  protected readonly store = inject(ConferenceStore);
  protected readonly session = inject(Session);
  readonly #locale = inject(LOCALE_ID);
  protected readonly text = linkText;

  protected advice(link: LinkState): string {
    return linkAdvice(link, this.store.organisation(link.organisation).displayName);
  }

  protected time(at: number): string {
    return new Intl.DateTimeFormat(this.#locale, { timeStyle: 'medium' }).format(at);
  }

  protected round(value: number): number {
    return Math.round(value);
  }

  protected percent(share: number): string {
    return new Intl.NumberFormat(this.#locale, { style: 'percent', maximumFractionDigits: 1 }).format(share);
  }
}
