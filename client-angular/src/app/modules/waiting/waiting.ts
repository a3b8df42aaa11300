/** Who waits to be let in, for those who may do that: the list, what is done about it, and that it is noticed. */
import { computed, inject, Injectable, signal } from '@angular/core';
import type { WaitingList, WaitingPerson } from '../../../../../protocol/modules/waiting.ts';
import { Acting } from '../../conference/acting.ts';
import { Rights } from '../../conference/rights.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Announcements } from '../../core/announcements.ts';
import { isolate } from '../../core/isolate.ts';
import { Sounds } from '../../core/sounds.ts';
import { personLabel } from '../../shared/person-text.ts';

/** More who came within a few seconds are counted. */
const MOST_NAMED = 3;
/** More than this are shown in groups. */
const MOST_ALONE = 6;
/** The server takes as many at once. */
const MOST_AT_ONCE = 500;

/** Guests, or the people of one organisation. */
export interface WaitingGroup {
  readonly key: string;
  readonly name: string;
  readonly people: readonly WaitingPerson[];
}

@Injectable({ providedIn: 'root' })
export class Waiting {
  readonly #store = inject(ConferenceStore);
  readonly #rights = inject(Rights);
  readonly #acting = inject(Acting);
  readonly #announcements = inject(Announcements);
  readonly #sounds = inject(Sounds);
  readonly #told = inject(Told);
  readonly #list = signal<WaitingList | undefined>(undefined);
  /** Those of whom something was asked already: they stand there until the server says that they do not wait any more. */
  readonly #asked = signal<ReadonlySet<string>>(new Set());
  readonly on = computed(() => this.#rights.may('admit'));
  /** Those who have waited longest first. */
  readonly people = computed(() => (this.on() ? (this.#list()?.people ?? []) : []));
  /** How many wait altogether, which may be more than are listed. */
  readonly count = computed(() => (this.on() ? (this.#list()?.count ?? 0) : 0));
  /** How many wait who are not listed. */
  readonly unlisted = computed(() => Math.max(0, this.count() - this.people().length));
  readonly grouped = computed(() => this.people().length > MOST_ALONE);
  readonly groups = computed((): readonly WaitingGroup[] => {
    const groups = new Map<string, WaitingPerson[]>();
    for (const person of this.people()) {
      const key = `${person.organisation}${person.guest ? ' guests' : ''}`;
      groups.set(key, [...(groups.get(key) ?? []), person]);
    }
    return [...groups].map(([key, people]) => ({ key, people, name: this.#groupName(people) }));
  });
  /** Who came since the line over the stage was put away. */
  readonly #seen = signal<ReadonlySet<string>>(new Set());
  readonly news = computed(() => this.people().filter(({ userId }) => !this.#seen().has(userId)));
  /** Who came since the last announcement. */
  #arrived: string[] = [];

  isAsked(userId: string): boolean {
    return this.#asked().has(userId);
  }

  label(person: WaitingPerson): string {
    return personLabel(person, this.#store.organisation(person.organisation).displayName);
  }

  load(list: WaitingList | undefined): void {
    this.#list.set(list);
    this.#asked.set(new Set());
    if (this.count() > 0) this.#notice(this.people());
  }

  changed(list: WaitingList): void {
    const before = new Set(this.people().map(({ userId }) => userId));
    const grew = list.count > this.count();
    this.#list.set(list);
    const waits = new Set(list.people.map(({ userId }) => userId));
    const stillThere = (ids: ReadonlySet<string>): ReadonlySet<string> =>
      new Set([...ids].filter((id) => waits.has(id)));
    this.#asked.update(stillThere);
    this.#seen.update(stillThere);
    const arrived = list.people.filter(({ userId }) => !before.has(userId));
    if (arrived.length > 0 || grew) this.#notice(arrived);
  }

  forget(): void {
    this.#list.set(undefined);
    this.#asked.set(new Set());
    this.#seen.set(new Set());
    this.#arrived = [];
  }

  /** The line over the stage was read. */
  see(): void {
    this.#seen.set(new Set(this.people().map(({ userId }) => userId)));
  }

  async admit(people: readonly WaitingPerson[]): Promise<void> {
    const userIds = this.#ask(people);
    if (userIds.length > 0) this.#tellFailed(userIds, await this.#acting.ask('waiting.admit', { userIds }));
  }

  async admitAll(): Promise<void> {
    const userIds = this.#ask(this.people());
    this.#tellFailed(userIds, await this.#acting.ask('waiting.admit-all', {}));
  }

  async refuse(person: WaitingPerson): Promise<void> {
    const userIds = this.#ask([person]);
    if (userIds.length > 0) this.#tellFailed(userIds, await this.#acting.ask('waiting.refuse', { userIds }));
  }

  #ask(people: readonly WaitingPerson[]): string[] {
    const userIds = people.map(({ userId }) => userId).filter((userId) => !this.isAsked(userId));
    this.#asked.update((all) => new Set([...all, ...userIds]));
    return userIds.slice(0, MOST_AT_ONCE);
  }

  /** @param outcome undefined: nothing was done, and the person was told so */
  #tellFailed(userIds: readonly string[], outcome: { failed: readonly string[] } | undefined): void {
    const failed = new Set(outcome?.failed ?? userIds);
    this.#asked.update((all) => new Set([...all].filter((userId) => !failed.has(userId))));
    const people = this.people().filter(({ userId }) => outcome !== undefined && failed.has(userId));
    if (people.length === 0) return;
    const names = people
      .slice(0, MOST_NAMED)
      .map((person) => this.label(person))
      .join('; ');
    this.#told.tell(
      people.length > MOST_NAMED
        ? $localize`:@@waiting.manyFailed:Not done for ${people.length}:COUNT: people: their organisation was not reached. Try again.`
        : $localize`:@@waiting.failed:Not done for ${names}:NAMES:: the organisation was not reached. Try again.`,
      'error',
    );
  }

  #notice(arrived: readonly WaitingPerson[]): void {
    this.#sounds.play('waits');
    this.#arrived.push(...arrived.map(({ userId }) => userId));
    this.#announcements.plan('waiting', () => {
      const people = this.people().filter(({ userId }) => this.#arrived.includes(userId));
      this.#arrived = [];
      const count = this.count();
      if (count === 0) return '';
      const [person] = people;
      if (person && people.length === 1) {
        return $localize`:@@waiting.waits:${this.label(person)}:NAME: is waiting to be let in.`;
      }
      return $localize`:@@waiting.wait:${count}:COUNT: people are waiting to be let in.`;
    });
  }

  #groupName(people: readonly WaitingPerson[]): string {
    const [first] = people;
    if (!first) return '';
    const { displayName } = this.#store.organisation(first.organisation);
    return first.guest ? $localize`:@@waiting.guestsOf:Guests of ${isolate(displayName)}:ORGANISATION:` : displayName;
  }
}
