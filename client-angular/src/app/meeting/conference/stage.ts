/** The stage: everybody in equal tiles that keep their places; a shared screen takes the large part. */
import { ChangeDetectionStrategy, Component, computed, DestroyRef, ElementRef, inject, signal } from '@angular/core';
import type { Participant } from '../../../../../protocol/session.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { GAP, gridLayout } from './grid-layout.ts';
import { Tile } from './tile.ts';
import { VisibleTiles } from './visible-tiles.ts';

@Component({
  selector: 'ht-stage',
  imports: [Tile],
  providers: [VisibleTiles],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './stage.html',
  styleUrl: './stage.scss',
  host: {
    role: 'group',
    '[attr.aria-label]': 'label',
    '[class.shared]': 'screens().length > 0',
    // A stage that scrolls can be scrolled by keyboard.
    '[attr.tabindex]': 'scrolls() ? 0 : null',
  },
})
export class Stage {
  readonly #store = inject(ConferenceStore);
  readonly #size = signal({ width: 0, height: 0 });
  protected readonly people = this.#store.participants;
  /** Others who share a screen. */
  protected readonly screens = computed(() =>
    this.people().filter((participant) => participant.participantId !== this.#store.me() && shares(participant)),
  );
  protected readonly layout = computed(() => {
    const { width, height } = this.#size();
    return gridLayout(width, height, this.people().length);
  });
  protected readonly scrolls = computed(() => {
    const { columns, tileHeight } = this.layout();
    const rows = Math.ceil(this.people().length / columns);
    return this.screens().length === 0 && rows * (tileHeight + GAP) - GAP > this.#size().height;
  });
  protected readonly label = $localize`:@@stage.people:Participants`;
  protected readonly alone = computed(() => this.people().length === 1);

  constructor() {
    const element = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) this.#size.set({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element);
    inject(DestroyRef).onDestroy(() => observer.disconnect());
  }
}

function shares(participant: Participant): boolean {
  return participant.sources.some(({ source }) => source === 'screen');
}
