/**
 * The keyboard always has a place on the page. When a new screen comes, the focus goes to its heading; when the element
 * that had the focus vanishes, it goes to the heading nearest to where that element was, and not to the start of the page.
 * A menu or dialog is where it was opened: when both vanish, the heading nearest to what had opened it is meant.
 */
import { DOCUMENT } from '@angular/common';
import { afterEveryRender, DestroyRef, inject, Injectable } from '@angular/core';
import { NavigationEnd, Router } from '@angular/router';

const HEADINGS = 'h1, h2, h3';
/** Where menus and dialogs stand in the document, whatever has opened them. */
const OVERLAYS = '.cdk-overlay-container';

@Injectable({ providedIn: 'root' })
export class FocusKeeper {
  readonly #document = inject(DOCUMENT);
  /** The element that has the focus and everything around it, from inside to outside. */
  #path: readonly Element[] = [];
  /** The path of what had the focus before a menu or dialog got it. */
  #opener: readonly Element[] = [];
  #newScreen = false;

  constructor() {
    const listening = new AbortController();
    inject(DestroyRef).onDestroy(() => listening.abort());
    const { signal } = listening;
    const onFocusIn = ({ target }: FocusEvent): void => {
      if (!(target instanceof Element)) return;
      const overlay = target.closest(OVERLAYS);
      if (overlay && this.#path[0]?.closest(OVERLAYS) !== overlay) this.#opener = this.#path;
      const path = pathOf(target);
      this.#path = overlay ? [...path.slice(0, path.indexOf(overlay)), ...this.#opener] : path;
    };
    const onFocusOut = ({ target, relatedTarget }: FocusEvent): void => {
      // Somebody who clicks beside everything leaves the element by intention, and it still stands.
      queueMicrotask(() => {
        if (!relatedTarget && target === this.#path[0] && target instanceof Element && target.isConnected) {
          this.#path = [];
        }
      });
    };
    this.#document.addEventListener('focusin', onFocusIn, { signal });
    this.#document.addEventListener('focusout', onFocusOut, { signal });
    let screens = 0;
    inject(Router).events.subscribe((event) => {
      if (!(event instanceof NavigationEnd)) return;
      screens += 1;
      // The first screen begins where the browser begins.
      this.#newScreen = screens > 1;
    });
    afterEveryRender({ read: () => this.#look() });
  }

  #look(): void {
    const { activeElement, body } = this.#document;
    if (this.#newScreen) {
      const heading = this.#document.querySelector('h1');
      if (!heading) return;
      this.#newScreen = false;
      focus(heading);
    } else if ((activeElement === null || activeElement === body) && this.#path[0]?.isConnected === false) {
      const nearest = this.#path
        .filter((element) => element.isConnected && element !== body)
        .map((element) => element.querySelector(HEADINGS))
        .find((found) => found !== null);
      this.#path = [];
      const heading = nearest ?? this.#document.querySelector('h1');
      if (heading) focus(heading);
    }
  }
}

function pathOf(target: Element): Element[] {
  const path: Element[] = [];
  for (let element: Element | null = target; element; element = element.parentElement) path.push(element);
  return path;
}

/** Headings take the focus by script only. */
function focus(heading: Element): void {
  if (!(heading instanceof HTMLElement)) return;
  if (!heading.hasAttribute('tabindex')) heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}
