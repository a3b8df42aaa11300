/** The modules of the running conference, and what they show together. */
import { computed, inject, Injectable } from '@angular/core';
import type { ConferenceSnapshot, Notification, Participant } from '../../../../protocol/session.ts';
import { type Action, type BarButton, MEETING_MODULES, type PersonMark } from './meeting-module.ts';

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

  /** Reactive. */
  marks(participant: Participant): readonly PersonMark[] {
    return this.on().flatMap((module) => module.mark?.(participant) ?? []);
  }

  /** Reactive. */
  actionsOn(participant: Participant): readonly Action[] {
    return this.on().flatMap((module) => module.actionsOn?.(participant) ?? []);
  }

  /** Reactive. */
  actionsOnAll(): readonly Action[] {
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
