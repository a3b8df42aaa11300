/** Who is here, and what can be done about one, several or all of them. */
import {
  ChangeDetectionStrategy,
  Component,
  computed,
  effect,
  type ElementRef,
  inject,
  linkedSignal,
  viewChild,
} from '@angular/core';
import type { Participant } from '../../../../../protocol/session.ts';
import { Modules } from '../../conference/modules.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Loaded } from '../../shared/loaded.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { PeopleChosen } from './people-chosen.ts';
import { findPeople, firstOf, groupByOrganisation, groupByPlace } from './people-groups.ts';
import { PeopleHead } from './people-head.ts';
import { PersonRow } from './person-row.ts';
import { UntrustedOrganisationSection } from './untrusted-organisation.ts';

/** From this many people on a search and another order are worth their place. */
const TOOLS_FROM = 8;
/** So many people are shown at once, the others of a large meeting so many at a time right after: all are in the list then. */
const AT_ONCE = 60;
/** Which row the keys lead to, from the one that has the focus. */
const STEPS: Readonly<Record<string, (at: number, count: number) => number>> = {
  ArrowDown: (at, count) => Math.min(at + 1, count - 1),
  ArrowUp: (at) => Math.max(at - 1, 0),
  PageDown: (at, count) => Math.min(at + 10, count - 1),
  PageUp: (at) => Math.max(at - 10, 0),
  Home: () => 0,
  End: (_at, count) => count - 1,
};

@Component({
  selector: 'ht-people-panel',
  imports: [Loaded, OrganisationMark, PeopleChosen, PeopleHead, PersonRow, UntrustedOrganisationSection],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { '(keydown.escape)': 'escape($event)' },
  templateUrl: './people-panel.html',
  styleUrl: './people-panel.scss',
})
export class PeoplePanel {
  protected readonly store = inject(ConferenceStore);
  protected readonly modules = inject(Modules);
  protected readonly view = inject(PeopleView);
  protected readonly select = viewChild<ElementRef<HTMLElement>>('select');
  readonly #many = computed(() => this.store.participants().length >= TOOLS_FROM);
  // What is in use stays, whoever leaves.
  protected readonly searchable = computed(() => this.#many() || this.view.search() !== '');
  protected readonly groupings = computed(() =>
    this.#many() || this.view.grouping() !== undefined ? this.modules.groupings() : [],
  );
  readonly #others = computed(() => this.store.participants().filter((person) => this.view.canChoose(person)));
  /** Several others are here, about whom something can be done. */
  protected readonly selectable = computed(
    () => this.view.selecting() || (this.#others().length > 1 && this.modules.actionsOn(this.#others()).length > 0),
  );
  protected readonly tools = computed(() => this.searchable() || this.groupings().length > 0 || this.selectable());
  readonly #groups = computed(() => {
    const { store } = this;
    const organisationOf = (serverName: string) => store.organisation(serverName);
    const people = findPeople(store.participants(), organisationOf, this.view.search());
    const grouping = this.view.grouping();
    if (grouping) return groupByPlace(people, grouping);
    return groupByOrganisation(people, organisationOf, store.participant(store.me())?.organisation);
  });

  readonly #limit = linkedSignal({
    source: () => [this.view.search(), this.view.grouping()],
    computation: () => AT_ONCE,
  });
  readonly #all = computed(() => this.#groups().reduce((sum, { people }) => sum + people.length, 0));
  protected readonly groups = computed(() => firstOf(this.#groups(), this.#limit()));

  constructor() {
    effect((onCleanup) => {
      if (this.#limit() >= this.#all()) return;
      const timer = setTimeout(() => this.#limit.update((limit) => limit + AT_ONCE));
      onCleanup(() => clearTimeout(timer));
    });
    // The right to do anything may be taken while people are chosen.
    effect(() => {
      if (this.view.selecting() && this.modules.actionsOn(this.#others()).length === 0) this.view.stopSelecting();
    });
  }

  /** The focus goes back to where choosing began. */
  protected stopSelecting(): void {
    this.view.stopSelecting();
    this.select()?.nativeElement.focus();
  }

  /** First ends the choosing, then closes the panel. */
  protected escape(event: Event): void {
    if (!this.view.selecting()) return;
    event.stopPropagation();
    this.stopSelecting();
  }

  protected chosenOf(people: readonly Participant[]): 'all' | 'some' | 'none' {
    const others = people.filter((person) => this.view.canChoose(person));
    const chosen = others.filter((person) => this.view.isChosen(person)).length;
    if (chosen === 0) return 'none';
    return chosen === others.length ? 'all' : 'some';
  }

  /** Hundreds of people are more than anybody walks through by Tab: arrows lead from row to row. */
  protected walk(event: KeyboardEvent): void {
    const step = STEPS[event.key];
    const { currentTarget: list, target } = event;
    if (!step || !(list instanceof HTMLElement) || !(target instanceof Element)) return;
    const row = target.closest('li');
    const controls = [...list.querySelectorAll<HTMLElement>('li :is(button, input)')];
    const at = controls.findIndex((control) => row?.contains(control));
    if (at < 0) return;
    event.preventDefault();
    controls[step(at, controls.length)]?.focus();
  }
}
