/** The map of the single keys, on `?` and in the menu. */
import { inject, Injectable } from '@angular/core';
import { MatDialog } from '@angular/material/dialog';
import { Keys } from '../core/keys.ts';

@Injectable({ providedIn: 'root' })
export class KeysMap {
  readonly #dialog = inject(MatDialog);

  constructor() {
    inject(Keys).listen({ '?': () => void this.show() });
  }

  /** Shows what each key does. */
  async show(): Promise<void> {
    const { KeysDialog } = await import('./keys-dialog.ts');
    if (this.#dialog.openDialogs.length > 0) return;
    this.#dialog.open(KeysDialog, { width: '560px', maxWidth: '96vw', autoFocus: 'first-heading' });
  }
}
