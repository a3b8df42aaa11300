/**
 * Which tiles are in view, and how large: the server sends pictures only for these. In a tab that nobody looks at,
 * after a while none are.
 */
import { DestroyRef, inject, Injectable } from '@angular/core';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { mediaKey } from '../../media/received-media.ts';
import type { VisibleTile } from '../../media/watch-plan.ts';

/** A short look at another tab costs no pictures, in ms. */
const HIDDEN_REST_MS = 10_000;

interface Watched {
  participantId: string;
  source: VisibleTile['source'];
  visible: boolean;
  width: number;
  height: number;
}

@Injectable()
export class VisibleTiles {
  readonly #client = inject(ConferenceClient);
  readonly #tiles = new Map<Element, Watched>();
  #hidden = false;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #told = '';
  readonly #inView = new IntersectionObserver(
    (entries) => {
      // Sizes come from the other observer only: what this one measured may be older.
      for (const { target, isIntersecting } of entries) {
        const tile = this.#tiles.get(target);
        if (tile) tile.visible = isIntersecting;
      }
      this.#tell();
    },
    { rootMargin: '40px' },
  );
  readonly #sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const tile = this.#tiles.get(target);
      if (tile) measure(tile, contentRect);
    }
    this.#tell();
  });

  constructor() {
    const onVisibility = (): void => {
      clearTimeout(this.#hiddenTimer);
      if (document.hidden) this.#hiddenTimer = setTimeout(() => this.#hide(true), HIDDEN_REST_MS);
      else this.#hide(false);
    };
    document.addEventListener('visibilitychange', onVisibility);
    inject(DestroyRef).onDestroy(() => {
      document.removeEventListener('visibilitychange', onVisibility);
      clearTimeout(this.#hiddenTimer);
      this.#inView.disconnect();
      this.#sizes.disconnect();
    });
  }

  /** @returns ends the observation */
  observe(element: Element, participantId: string, source: VisibleTile['source']): () => void {
    this.#tiles.set(element, { participantId, source, visible: false, width: 0, height: 0 });
    this.#inView.observe(element);
    this.#sizes.observe(element);
    return () => {
      this.#inView.unobserve(element);
      this.#sizes.unobserve(element);
      this.#tiles.delete(element);
      this.#tell();
    };
  }

  #hide(hidden: boolean): void {
    this.#hidden = hidden;
    this.#tell();
  }

  #tell(): void {
    const visible = this.#hidden ? [] : [...this.#tiles.values()].filter((tile) => tile.visible && tile.width > 1);
    const tiles = visible.map(({ participantId, source, width, height }) => ({ participantId, source, width, height }));
    const told = tiles
      .map((tile) => `${mediaKey(tile.participantId, tile.source)} ${tile.width}x${tile.height}`)
      .join();
    if (told === this.#told) return;
    this.#told = told;
    this.#client.show(tiles);
  }
}

function measure(tile: Watched, { width, height }: { width: number; height: number }): void {
  const ratio = devicePixelRatio;
  tile.width = Math.round(width * ratio);
  tile.height = Math.round(height * ratio);
}
