/** Who takes part and what is encrypted where: a button in the head of the conference, and what it opens. */
import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { ConferenceStore } from '../../conference/store.ts';
import { Icon } from '../../shared/icon.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';

/** A shield. */
const SHIELD = 'M12 3l7.5 2.8v5.4c0 4.6-3 7.9-7.5 9.8-4.5-1.9-7.5-5.2-7.5-9.8V5.8zM9 12l2.2 2.2L15.2 10';

@Component({
  selector: 'ht-security-badge',
  imports: [Icon],
  providers: [OwnDialogs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<button
    class="badge"
    type="button"
    data-testid="security-badge"
    aria-haspopup="dialog"
    [attr.title]="hint"
    (click)="show()"
  >
    <ht-icon [drawing]="shield" />
    <span class="text"
      ><span class="visually-hidden" i18n="@@security.title">Security</span> <span>{{ text() }}</span></span
    >
  </button>`,
  styleUrl: './security-badge.scss',
})
export class SecurityBadge {
  readonly #store = inject(ConferenceStore);
  readonly #dialogs = inject(OwnDialogs);
  protected readonly shield = SHIELD;
  protected readonly hint = $localize`:@@security.hint:Who takes part, and what is encrypted where`;
  protected readonly text = computed(() => {
    const people = this.#store.participants();
    const organisations = new Set(people.map(({ organisation }) => organisation)).size;
    const guests = people.filter(({ guest }) => guest).length;
    const parts = [
      organisations === 1
        ? $localize`:@@security.oneOrganisation:1 organisation`
        : $localize`:@@security.organisations:${organisations}:COUNT: organisations`,
    ];
    if (guests === 1) parts.push($localize`:@@security.oneGuest:1 guest`);
    if (guests > 1) parts.push($localize`:@@security.guests:${guests}:COUNT: guests`);
    return parts.join(', ');
  });

  protected show(): void {
    void this.#dialogs.ask(async () => (await import('./security-dialog.ts')).SecurityDialog, {
      width: '640px',
      maxWidth: '96vw',
      autoFocus: 'dialog',
    });
  }
}
