/** "Connections": how each other organisation is reached, and how well. */
import { ChangeDetectionStrategy, Component, computed, inject, LOCALE_ID } from '@angular/core';
import { MatButton } from '@angular/material/button';
import type { LinkState } from '../../../../../protocol/session.ts';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { Rights } from '../../conference/rights.ts';
import { ShutOuts } from '../../conference/shut-outs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { untrustedReason } from '../../core/untrusted-text.ts';
import { type BlockedCause, blockedText } from '../../media/media-line.ts';
import { Session } from '../../session/session.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';
import { linkAdvice, linkText } from './link-text.ts';

interface OwnConnection {
  readonly state: LinkState['state'];
  /** Unix ms. */
  readonly since?: number;
  readonly blocked?: BlockedCause;
}

@Component({
  selector: 'ht-connections-panel',
  imports: [MatButton, OrganisationMark],
  providers: [OwnDialogs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<ul>
    <li data-testid="own-connection">
      <div class="line">
        @if (session.hello(); as hello) {
          <ht-organisation-mark [organisation]="hello.organisation" />
        }
        <span class="state" [attr.data-state]="own().state">{{ linkText(own()) }}</span>
      </div>
      @if (own().blocked; as cause) {
        <p data-testid="own-blocked">{{ blockedText(cause) }}</p>
      }
      @if (own().since; as since) {
        <p class="figures">
          <span i18n="@@connections.since">since {{ time(since) }}</span>
        </p>
      }
      <p i18n="@@connections.own">Your own organisation: all your sound and pictures go through its server only.</p>
    </li>
    @for (link of store.links(); track link.organisation) {
      <li>
        <div class="line">
          <ht-organisation-mark [organisation]="store.organisation(link.organisation)" />
          <span class="state" [attr.data-state]="link.state">{{ linkText(link) }}</span>
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
        @if (rights.may('shut-out')) {
          <button
            matButton
            type="button"
            data-testid="shut-out"
            (click)="shutOut(link.organisation)"
            i18n="@@shutOut.button"
          >
            Shut out of this meeting …
          </button>
        }
      </li>
    } @empty {
      <li>
        <p i18n="@@connections.none">Nobody of another organisation is here at the moment.</p>
      </li>
    }
    @for (one of store.untrusted(); track one.organisation) {
      <li>
        <div class="line">
          <ht-organisation-mark [organisation]="store.organisation(one.organisation)" />
          <span class="state" data-state="interrupted" i18n="@@untrusted.state">not connected</span>
        </div>
        <p>{{ untrustedReason(one.reason) }}</p>
      </li>
    }
    @for (name of shutOuts.names(); track name) {
      <li data-testid="shut-out-organisation">
        <div class="line">
          <bdi>{{ name }}</bdi>
          <span class="state" data-state="interrupted" i18n="@@shutOut.state">shut out of this meeting</span>
        </div>
        @if (rights.may('shut-out')) {
          <button matButton type="button" data-testid="let-in" (click)="shutOuts.letIn(name)" i18n="@@shutOut.letIn">
            Let in again
          </button>
        }
      </li>
    }
  </ul>`,
  styleUrl: './connections-panel.scss',
})
export class ConnectionsPanel {
  protected readonly store = inject(ConferenceStore);
  protected readonly session = inject(Session);
  protected readonly rights = inject(Rights);
  protected readonly shutOuts = inject(ShutOuts);
  readonly #dialogs = inject(OwnDialogs);
  readonly #locale = inject(LOCALE_ID);
  readonly #line = inject(ConferenceClient).line;
  protected readonly linkText = linkText;
  protected readonly untrustedReason = untrustedReason;
  protected readonly blockedText = blockedText;
  /** The way between this computer and the own organisation: the session, and then sound and pictures. */
  protected readonly own = computed((): OwnConnection => {
    const line = this.#line();
    if (this.session.state() !== 'open') return { state: 'interrupted' };
    switch (line.kind) {
      case 'connecting':
        return { state: 'connecting' };
      case 'interrupted':
        return { state: 'interrupted', since: line.since };
      case 'blocked':
        return { state: 'interrupted', since: line.since, blocked: line.cause };
      case 'closed':
        return { state: 'connecting' };
      case 'idle':
      case 'connected':
        return { state: 'connected' };
    }
  });

  constructor() {
    void this.shutOuts.load();
  }

  /** Asks before. */
  protected async shutOut(serverName: string): Promise<void> {
    const yes = await this.#dialogs.ask<boolean>(async () => (await import('./shut-out-dialog.ts')).ShutOutDialog, {
      width: '440px',
      maxWidth: '96vw',
      // Enter, pressed once too often, shuts nobody out.
      autoFocus: '[data-testid=shut-out-no]',
      data: { organisation: this.store.organisation(serverName).displayName },
    });
    if (yes) await this.shutOuts.shutOut(serverName);
  }

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
