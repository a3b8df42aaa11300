/** The modules of the running conference, and what they show together. */
import { computed, inject, Injectable } from '@angular/core';
import type { ConferenceSnapshot, Notification, Participant } from '../../../../protocol/session.ts';
import {
  type BarButton,
  MEETING_MODULES,
  type MeetingAction,
  PERSON_ACTION_PARTS,
  type PersonAction,
  type PersonMark,
} from './meeting-module.ts';

@Injectable()
export class Modules {
  readonly #all = inject(MEETING_MODULES);
  /** Those that are on, in the order of the list. */
  readonly on = computed(() => this.#all.filter((module) => module.on?.() ?? true));
  readonly panels = computed(() => this.on().flatMap(({ panel }) => panel ?? []));
  readonly buttons = computed((): readonly BarButton[] => this.on().flatMap(({ buttons }) => buttons ?? []));

  /** What lies over the stage, and what stands above the list of people. */
  readonly stage = computed(() => this.on().flatMap(({ name, stage: load }) => (load ? { name, load } : [])));
  readonly people = computed(() => this.on().flatMap(({ name, people: load }) => (load ? { name, load } : [])));

  /** What asks for attention among the people. */
  readonly peopleBadge = computed(() => {
    for (const { peopleBadge } of this.on()) {
      const badge = peopleBadge?.();
      if (badge) return badge;
    }
    return undefined;
  });
  readonly groupings = computed(() => this.on().flatMap(({ grouping }) => grouping ?? []));

  /** Reactive. */
  marks(participant: Participant): readonly PersonMark[] {
    return this.on().flatMap((module) => module.mark?.(participant) ?? []);
  }

  /** In the order of the parts of the menu. Reactive. */
  actionsOn(people: readonly Participant[]): readonly PersonAction[] {
    const actions = this.on().flatMap((module) => module.actionsOn?.(people) ?? []);
    return PERSON_ACTION_PARTS.flatMap((part) => actions.filter((action) => action.part === part));
  }

  /** Reactive. */
  actionsOnAll(): readonly MeetingAction[] {
    return this.on().flatMap((module) => module.actionsOnAll?.() ?? []);
  }

  joined(snapshot: ConferenceSnapshot): void {
    for (const module of this.#all) module.joined?.(snapshot);
  }

  left(): void {
    for (const module of this.#all) module.left?.();
  }

  apply({ name, data }: Notification): void {
    for (const { notifications } of this.#all) (notifications?.[name] as Handler | undefined)?.(data);
  }
}

/** A name and its data belong together, which TypeScript does not see through an index. */
type Handler = (data: Notification['data']) => void;
