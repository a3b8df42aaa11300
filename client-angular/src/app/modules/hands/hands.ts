/** Raised hands: who wants to speak, the first that went up first. */
import { computed, effect, inject, Injectable, signal } from '@angular/core';
import type { ConferenceSnapshot, Participant } from '../../../../../protocol/session.ts';
import { Acting } from '../../conference/acting.ts';
import { Orders } from '../../conference/orders.ts';
import { Rights } from '../../conference/rights.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Announcements } from '../../core/announcements.ts';
import { isolate } from '../../core/isolate.ts';
import { personName } from '../../shared/person-text.ts';

/** More hands than this, raised within a few seconds, are counted. */
const MOST_NAMED = 3;

@Injectable({ providedIn: 'root' })
export class Hands {
  readonly #store = inject(ConferenceStore);
  readonly #rights = inject(Rights);
  readonly #acting = inject(Acting);
  readonly #orders = inject(Orders);
  readonly #announcements = inject(Announcements);
  readonly #told = inject(Told);
  readonly #state = signal<ConferenceSnapshot['modules']['hands']>(undefined);
  /**
   * Hands are shown. A meeting in which they are off has none of it, but for those who may switch them on; where they are
   * switched off meanwhile the button keeps its place.
   */
  readonly on = computed(() => this.#state() !== undefined || this.#rights.may('switch-hands'));
  readonly enabled = computed(() => this.#state()?.enabled ?? false);
  readonly raised = computed(() =>
    this.#store
      .participants()
      .flatMap((person) => (person.signals.hand ? { person, raisedAt: person.signals.hand.raisedAt } : []))
      // At the same moment: the same order on every screen.
      .sort((a, b) => a.raisedAt - b.raisedAt || (a.person.participantId < b.person.participantId ? -1 : 1))
      .map(({ person }) => person),
  );
  readonly own = computed(() => this.raised().some(({ participantId }) => participantId === this.#store.me()));
  /** Hands that this screen knows of; undefined before the first look at a meeting. */
  #known: ReadonlySet<string> | undefined;
  /** Hands that went up since the last announcement. */
  #new = new Set<string>();
  #asking = false;

  constructor() {
    effect(() => this.#notice(this.raised().map(({ participantId }) => participantId)));
  }

  /** Place in the order, from 1; undefined while the hand is down. */
  place(participantId: string): number | undefined {
    const index = this.raised().findIndex((person) => person.participantId === participantId);
    return index < 0 ? undefined : index + 1;
  }

  load(state: ConferenceSnapshot['modules']['hands']): void {
    this.#state.update((before) => state ?? (before && { enabled: false }));
  }

  changed(enabled: boolean): void {
    if (enabled === this.enabled()) return;
    this.#state.set({ enabled });
    this.#announcements.plan('hands-switched', () =>
      this.enabled()
        ? $localize`:@@hands.nowOn:Hands can be raised again.`
        : $localize`:@@hands.nowOff:Raising hands was switched off.`,
    );
  }

  /** Somebody else has lowered the own hand. */
  lowered(by: string): void {
    this.#told.tell($localize`:@@hands.loweredBy:${isolate(by)}:NAME: has lowered your hand.`);
  }

  forget(): void {
    this.#state.set(undefined);
    this.#known = undefined;
    this.#new.clear();
  }

  /** @returns what has happened, in words */
  async toggle(): Promise<string | undefined> {
    // Pressed twice is pressed once: the first answer is on its way.
    if (this.#asking) return undefined;
    this.#asking = true;
    try {
      if (this.own()) {
        const done = await this.#acting.ask('hands.lower', {});
        return done && $localize`:@@hands.isDown:Your hand is down`;
      }
      const done = await this.#acting.ask('hands.raise', {});
      return done && $localize`:@@hands.isUp:Your hand is raised`;
    } finally {
      this.#asking = false;
    }
  }

  async lower(people: readonly Participant[]): Promise<void> {
    await this.#orders.give('moderation.lower-hands', people, {
      one: (name) => $localize`:@@hands.loweredOne:The hand of ${name}:NAME: is down.`,
      many: (count) => $localize`:@@hands.loweredMany:${count}:COUNT: hands are down.`,
      unreached: (organisations) =>
        $localize`:@@hands.unreached:${organisations}:ORGANISATIONS: could not be reached: hands there may still be up.`,
    });
  }

  async lowerAll(): Promise<void> {
    await this.#acting.ask('hands.lower-all', {});
  }

  async enable(enabled: boolean): Promise<void> {
    await this.#acting.ask('hands.switch', { enabled });
  }

  #notice(ids: readonly string[]): void {
    if (this.#store.me() === '') return;
    const before = this.#known;
    this.#known = new Set(ids);
    if (!before) return;
    const added = ids.filter((id) => !before.has(id) && id !== this.#store.me());
    if (added.length === 0) return;
    for (const id of added) this.#new.add(id);
    this.#announcements.plan('hands', () => this.#text());
  }

  #text(): string {
    // Who has lowered the hand meanwhile is not named.
    const people = this.raised().filter(({ participantId }) => this.#new.has(participantId));
    this.#new.clear();
    const [first] = people;
    if (!first) return '';
    if (people.length > MOST_NAMED) {
      return $localize`:@@hands.manyRaised:${people.length}:COUNT: people raised a hand, first ${this.#named(first)}:NAME:.`;
    }
    return people.map((person) => $localize`:@@hands.raised:${this.#named(person)}:NAME: raised a hand.`).join(' ');
  }

  /** With the organisation, as people of several are here. */
  #named(person: Participant): string {
    return `${personName(person)} (${isolate(this.#store.organisation(person.organisation).displayName)})`;
  }
}
