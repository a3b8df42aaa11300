/**
 * How the list of people is looked at: what is searched for, how it is grouped, and who is chosen to do something about.
 * Provide it by the screen of the conference, so that closing the panel forgets nothing, and leaving the meeting all but
 * the grouping, which is kept in this browser.
 */
import { computed, effect, inject, Injectable, signal } from '@angular/core';
import type { Participant } from '../../../../protocol/session.ts';
import { Modules } from './modules.ts';
import { ConferenceStore } from './store.ts';

const STORAGE_KEY = 'hansetag-people';

@Injectable()
export class PeopleView {
  readonly #store = inject(ConferenceStore);
  readonly #modules = inject(Modules);
  readonly search = signal('');
  readonly #grouping = signal(localStorage.getItem(STORAGE_KEY) ?? '');
  /** Undefined: by organisation, also when the module of the one that was chosen is off. */
  readonly grouping = computed(() => this.#modules.groupings().find(({ name }) => name === this.#grouping()));
  readonly #selecting = signal(false);
  /** People can be chosen now. */
  readonly selecting = this.#selecting.asReadonly();
  readonly #ids = signal<ReadonlySet<string>>(new Set());
  /** Who is chosen and still here. */
  readonly chosen = computed(() => this.#store.participants().filter((person) => this.isChosen(person)));

  constructor() {
    effect(() => {
      if (this.#grouping() === '') localStorage.removeItem(STORAGE_KEY);
      else localStorage.setItem(STORAGE_KEY, this.#grouping());
    });
  }

  /** @param name of a module's grouping; undefined: by organisation */
  groupBy(name: string | undefined): void {
    this.#grouping.set(name ?? '');
  }

  startSelecting(): void {
    this.#selecting.set(true);
  }

  /** Nobody is chosen any more. */
  stopSelecting(): void {
    this.#selecting.set(false);
    this.#ids.set(new Set());
  }

  /** Reactive. */
  isChosen({ participantId }: Participant): boolean {
    return this.#ids().has(participantId);
  }

  /** Others only: nobody mutes or removes oneself here. Reactive. */
  canChoose({ participantId }: Participant): boolean {
    return participantId !== this.#store.me();
  }

  choose(people: readonly Participant[], chosen: boolean): void {
    const ids = new Set(this.#ids());
    for (const person of people) {
      if (chosen && this.canChoose(person)) ids.add(person.participantId);
      else ids.delete(person.participantId);
    }
    this.#ids.set(ids);
  }
}
