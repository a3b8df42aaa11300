/**
 * Single keys that act. They are silent while somebody types or a dialog is open, and can be switched off altogether:
 * speech input and shaky hands press letters that nobody meant (WCAG 2.2, 2.1.4).
 */
import { DOCUMENT } from '@angular/common';
import { computed, DestroyRef, effect, inject, Injectable, signal } from '@angular/core';
import { MatDialog } from '@angular/material/dialog';

const STORAGE_KEY = 'hansetag-keys';
const TYPED_INTO = 'input, textarea, select, [contenteditable], [role="listbox"], [role="combobox"], [role="menu"]';

/** What a key does, by what the key writes, in lower case. */
export type KeyActions = Readonly<Record<string, () => void>>;

/** What the map of the keys says of one that is there for a time only. */
export interface KeyText {
  readonly key: string;
  readonly text: string;
}

@Injectable({ providedIn: 'root' })
export class Keys {
  readonly #dialog = inject(MatDialog);
  readonly #actions = new Set<KeyActions>();
  readonly #texts = signal<readonly (readonly KeyText[])[]>([]);
  /** Of the actions that came with texts, in the order in which they came. */
  readonly texts = computed(() => this.#texts().flat());
  /** The person's choice, kept in this browser. */
  readonly enabled = signal(localStorage.getItem(STORAGE_KEY) !== 'off');

  constructor() {
    const document = inject(DOCUMENT);
    const onKey = (event: KeyboardEvent): void => this.#onKey(event);
    document.addEventListener('keydown', onKey);
    inject(DestroyRef).onDestroy(() => document.removeEventListener('keydown', onKey));
    effect(() => {
      if (this.enabled()) localStorage.removeItem(STORAGE_KEY);
      else localStorage.setItem(STORAGE_KEY, 'off');
    });
  }

  /**
   * @param texts for the map of the keys, which names the others by itself
   * @returns to be called when the actions make no sense any more
   */
  listen(actions: KeyActions, texts: readonly KeyText[] = []): () => void {
    this.#actions.add(actions);
    this.#texts.update((all) => [...all, texts]);
    return () => {
      this.#actions.delete(actions);
      this.#texts.update((all) => all.filter((one) => one !== texts));
    };
  }

  #onKey(event: KeyboardEvent): void {
    const { key, target } = event;
    if (!this.enabled() || event.defaultPrevented || event.repeat || event.isComposing) return;
    if (event.ctrlKey || event.altKey || event.metaKey || this.#dialog.openDialogs.length > 0) return;
    if (target instanceof Element && target.closest(TYPED_INTO)) return;
    const actions = [...this.#actions].find((candidate) => Object.hasOwn(candidate, key.toLowerCase()));
    if (!actions) return;
    event.preventDefault();
    actions[key.toLowerCase()]?.();
  }
}
