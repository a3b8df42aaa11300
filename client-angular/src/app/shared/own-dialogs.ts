/**
 * Dialogs of one component. Their code is loaded on demand, and that takes its time: whoever has gone on to another
 * page meanwhile gets no dialog any more, pressing twice opens one, and no dialog outlives the page it belongs to.
 */
import type { ComponentType } from '@angular/cdk/overlay';
import { DestroyRef, inject, Injectable } from '@angular/core';
import { MatDialog, type MatDialogConfig, type MatDialogRef } from '@angular/material/dialog';
import { firstValueFrom } from 'rxjs';

/** Provide it by the component that opens the dialogs. */
@Injectable()
export class OwnDialogs {
  readonly #dialog = inject(MatDialog);
  readonly #owner = inject(DestroyRef);
  #busy = false;
  #open: MatDialogRef<unknown> | undefined;

  constructor() {
    this.#owner.onDestroy(() => this.close());
  }

  /**
   * Opens a dialog, unless another one of this component is open.
   * @returns what it was closed with; undefined when it was closed without an answer, or not opened at all
   */
  async ask<R = unknown, D = unknown>(
    load: () => Promise<ComponentType<unknown>>,
    config: MatDialogConfig<D>,
  ): Promise<R | undefined> {
    if (this.#busy || this.#owner.destroyed) return undefined;
    this.#busy = true;
    try {
      const component = await load();
      if (this.#owner.destroyed) return undefined;
      const dialog = this.#dialog.open<unknown, D, R>(component, config);
      this.#open = dialog;
      const answer = await firstValueFrom(dialog.afterClosed(), { defaultValue: undefined });
      return this.#owner.destroyed ? undefined : answer;
    } finally {
      this.#busy = false;
      this.#open = undefined;
    }
  }

  /** Closes the dialog that is open, if one is. */
  close(): void {
    this.#open?.close();
  }
}
