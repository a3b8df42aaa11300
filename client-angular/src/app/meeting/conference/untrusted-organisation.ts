/** An organisation whose people are in the meeting and not connected, because the own one does not trust it. */
import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import type { UntrustedOrganisation } from '../../../../../protocol/session.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { untrustedReason } from '../../core/untrusted-text.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';

@Component({
  selector: 'ht-untrusted-organisation',
  imports: [OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<section
    [attr.aria-label]="organisation().displayName"
    data-testid="untrusted"
    [attr.data-reason]="untrusted().reason"
  >
    <h3>
      <ht-organisation-mark [organisation]="organisation()" />
      <span class="state" i18n="@@untrusted.state">not connected</span>
    </h3>
    @if (organisation().displayName !== organisation().serverName) {
      <p>
        <bdi>{{ organisation().serverName }}</bdi>
      </p>
    }
    <p>
      {{ reason() }}
      <ng-container i18n="@@untrusted.meaning">You and its people do not see or hear each other.</ng-container>
    </p>
    <ul>
      @for (person of untrusted().people; track person.userId) {
        <li [title]="person.userId">
          <bdi>{{ person.displayName }}</bdi>
        </li>
      }
      @if (more() > 0) {
        <li i18n="@@untrusted.more">and {{ more() }} more</li>
      }
    </ul>
  </section>`,
  styles: `
    h3 {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      justify-content: space-between;
      gap: 4px 12px;
      font-size: 0.9375rem;
      font-weight: 650;
    }
    .state {
      color: var(--mat-sys-error);
      font-weight: 600;
    }
    p {
      margin-top: 4px;
      color: var(--mat-sys-on-surface-variant);
      font-size: 0.9375rem;
      overflow-wrap: anywhere;
    }
    ul {
      margin: 4px 0 0;
      padding: 0;
      list-style: none;
    }
    li {
      padding: 8px 0;
      border-bottom: 1px solid var(--mat-sys-outline-variant);
      color: var(--mat-sys-on-surface-variant);
      overflow-wrap: anywhere;
    }
  `,
})
export class UntrustedOrganisationSection {
  readonly #store = inject(ConferenceStore);
  readonly untrusted = input.required<UntrustedOrganisation>();
  protected readonly organisation = computed(() => this.#store.organisation(this.untrusted().organisation));
  protected readonly reason = computed(() => untrustedReason(this.untrusted().reason));
  /** How many are not named. */
  protected readonly more = computed(() => this.untrusted().count - this.untrusted().people.length);
}
