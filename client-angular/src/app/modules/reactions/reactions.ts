/** Reactions: what was sent within the last seconds, summed for each organisation. */
import { computed, inject, Injectable, signal } from '@angular/core';
import type { Reaction } from '../../../../../protocol/modules/reactions.ts';
import type { ConferenceSnapshot, NotificationData } from '../../../../../protocol/session.ts';
import { Acting } from '../../conference/acting.ts';
import { Rights } from '../../conference/rights.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Announcements } from '../../core/announcements.ts';
import { isolate } from '../../core/isolate.ts';
import { reactionText } from './reaction-texts.ts';

/** An organisation's reactions go so long after its last one, in ms. */
const SHOWN_MS = 5_000;

type Counts = ReadonlyMap<Reaction, number>;

/** What one organisation has sent since its reactions appeared. */
export interface ShownReactions {
  readonly organisation: string;
  readonly counts: readonly { reaction: Reaction; count: number }[];
}

@Injectable({ providedIn: 'root' })
export class Reactions {
  readonly #store = inject(ConferenceStore);
  readonly #rights = inject(Rights);
  readonly #acting = inject(Acting);
  readonly #announcements = inject(Announcements);
  readonly #state = signal<ConferenceSnapshot['modules']['reactions']>(undefined);
  /** Shown: also to those who may switch them on, and in their place where they were switched off meanwhile. */
  readonly on = computed(() => this.#state() !== undefined || this.#rights.may('switch-reactions'));
  readonly enabled = computed(() => this.#state()?.enabled ?? false);
  readonly #shown = signal<ReadonlyMap<string, Counts>>(new Map());
  /** In the order in which the organisations began; of each the first reaction first. */
  readonly shown = computed((): readonly ShownReactions[] =>
    [...this.#shown()].map(([organisation, counts]) => ({ organisation, counts: listed(counts) })),
  );
  /** When what is shown of an organisation goes. */
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  /** What came since the last announcement. */
  #unsaid = new Map<string, Counts>();

  load(state: ConferenceSnapshot['modules']['reactions']): void {
    this.#state.update((before) => state ?? (before && { enabled: false }));
  }

  changed(enabled: boolean): void {
    if (enabled === this.enabled()) return;
    this.#state.set({ enabled });
    this.#announcements.plan('reactions-switched', () =>
      this.enabled()
        ? $localize`:@@reactions.nowOn:Reactions can be sent again.`
        : $localize`:@@reactions.nowOff:Reactions were switched off.`,
    );
  }

  async enable(enabled: boolean): Promise<void> {
    await this.#acting.ask('reactions.switch', { enabled });
  }

  async send(reaction: Reaction): Promise<void> {
    await this.#acting.ask('reactions.send', { reaction });
  }

  received({ organisation, counts }: NotificationData<'reactions.shown'>): void {
    if (!this.enabled()) return;
    this.#shown.update((all) => new Map(all).set(organisation, added(all.get(organisation), counts)));
    clearTimeout(this.#timers.get(organisation));
    this.#timers.set(
      organisation,
      setTimeout(() => this.#hide(organisation), SHOWN_MS),
    );
    this.#unsaid.set(organisation, added(this.#unsaid.get(organisation), counts));
    this.#announcements.plan('reactions', () => this.#text());
  }

  forget(): void {
    this.#state.set(undefined);
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#shown.set(new Map());
    this.#unsaid.clear();
  }

  #hide(organisation: string): void {
    this.#timers.delete(organisation);
    this.#shown.update((all) => new Map([...all].filter(([serverName]) => serverName !== organisation)));
  }

  #text(): string {
    const parts = [...this.#unsaid].map(([serverName, counts]) => {
      const name = isolate(this.#store.organisation(serverName).displayName);
      const reactions = listed(counts).map(({ reaction, count }) => `${reactionText(reaction)} ${String(count)}`);
      return $localize`:@@reactions.said:Reactions of ${name}:ORGANISATION:: ${reactions.join(', ')}:REACTIONS:.`;
    });
    this.#unsaid.clear();
    return parts.join(' ');
  }
}

function added(before: Counts | undefined, counts: readonly { reaction: Reaction; count: number }[]): Counts {
  const sums = new Map(before);
  for (const { reaction, count } of counts) sums.set(reaction, (sums.get(reaction) ?? 0) + count);
  return sums;
}

function listed(counts: Counts): { reaction: Reaction; count: number }[] {
  return [...counts].map(([reaction, count]) => ({ reaction, count }));
}
