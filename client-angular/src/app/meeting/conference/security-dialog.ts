/** In plain words: which organisations and guests take part, how they are trusted, and what is encrypted where. */
import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle } from '@angular/material/dialog';
import type { Organisation } from '../../../../../protocol/session.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';

@Component({
  selector: 'ht-security-dialog',
  imports: [MatButton, MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './security-dialog.html',
  styleUrls: ['../../shared/dialog.scss', './security-dialog.scss'],
})
export class SecurityDialog {
  protected readonly store = inject(ConferenceStore);
  /** Those with people in the conference, with how many of them are there. */
  protected readonly organisations = computed(() => {
    const counts = new Map<string, number>();
    for (const { organisation, guest } of this.store.participants()) {
      counts.set(organisation, (counts.get(organisation) ?? 0) + (guest ? 0 : 1));
    }
    return [...counts].map(([serverName, count]) => ({ organisation: this.store.organisation(serverName), count }));
  });
  protected readonly guests = computed(() => this.store.participants().filter(({ guest }) => guest));
  protected readonly isFederated = computed(() => this.organisations().length > 1);

  protected trust({ trust }: Organisation): string {
    switch (trust) {
      case 'own':
        return $localize`:@@security.own:your own organisation`;
      case 'certificate':
        return $localize`:@@security.certificate:a certificate that your organisation recognises vouches for it`;
      case 'listed':
        return $localize`:@@security.listed:your organisation has put it on its list of partners`;
      case 'open':
        return $localize`:@@security.open:your organisation talks with every server; nobody vouches for the name`;
      case undefined:
        return $localize`:@@security.unknown:not known how it is trusted`;
    }
  }
}
