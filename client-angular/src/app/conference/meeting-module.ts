/**
 * A self-contained feature of a meeting: what it shows and where, what it listens to, what it loads and forgets. The list
 * of all is `modules/modules.ts`; control bar, side panel, stage and people loop over it and know none of them. Modules do
 * not know each other (docs/architecture.md, "The module seam").
 */
import { InjectionToken, type Signal, type Type } from '@angular/core';
import type {
  ConferenceSnapshot,
  NotificationData,
  NotificationName,
  Participant,
} from '../../../../protocol/session.ts';

/** Loads a component on demand, so that what nobody opens costs nothing. */
export type LoadComponent = () => Promise<Type<unknown>>;

/** Line icons are paths of 24 by 24, drawn in the colour of the text. */
export type IconPath = string;

/** A number at a button. */
export interface Badge {
  readonly count: number;
  /** After the number, for who listens. */
  readonly label?: string;
  /** Is there all the time, and asks for nothing. */
  readonly quiet?: boolean;
}

/** A panel beside the stage, with its button in the control bar. */
export interface Panel {
  readonly name: string;
  readonly title: string;
  readonly icon: IconPath;
  /** The single key that opens and closes it. */
  readonly key: string;
  /** Where the focus goes when it is opened by key: its head, or the field that is typed into. */
  readonly keyFocus?: 'head' | 'field';
  readonly badge?: Signal<Badge | undefined>;
  readonly load: LoadComponent;
}

interface Button {
  readonly name: string;
  readonly icon: IconPath;
  /** What stands below the icon. */
  readonly text: string;
  /** What pressing it does now, or why it does nothing. */
  readonly hint: Signal<string>;
  /** Pressing it does nothing now, and `hint` says why. The button keeps its place. */
  readonly off: Signal<boolean>;
}

/** Something on or off. */
export interface ToggleButton extends Button {
  readonly kind: 'toggle';
  readonly key: string;
  readonly pressed: Signal<boolean>;
  /** @returns what has happened, for somebody who has used the key and need not see the button; undefined when nothing has */
  press(): Promise<string | undefined>;
}

/** One of several things to choose from. */
export interface MenuButton extends Button {
  readonly kind: 'menu';
  readonly items: Signal<readonly Action[]>;
}

export type BarButton = ToggleButton | MenuButton;

/** Something that can be done, for a menu or a button. */
export interface Action {
  readonly name: string;
  readonly text: string;
  /** A character drawn before the text, by the system's font. */
  readonly glyph?: string;
  /** Drawn before the text. */
  readonly icon?: IconPath;
  run(): void;
}

/** The parts of a person's menu, in their order: what somebody sends, what somebody is here, and that somebody goes. */
export const PERSON_ACTION_PARTS = ['sends', 'is', 'goes'] as const;

/** Something that can be done about people. */
export interface PersonAction extends Action {
  readonly part: (typeof PERSON_ACTION_PARTS)[number];
}

/** The parts of what stands behind the button to more: for this moment, for the time to come, and that it ends. */
export const MEETING_ACTION_PARTS = ['now', 'rules', 'end'] as const;

/** Something that can be done about the whole meeting, at the head of the people panel. */
export interface MeetingAction extends Action {
  /** `head`: a button of its own; `more`: behind the one button to everything else. */
  readonly place: 'head' | 'more';
  /** `rules` without it. */
  readonly part?: (typeof MEETING_ACTION_PARTS)[number];
  /** What it means, in more words. */
  readonly hint?: string;
  /** Of something that is on or off: whether it is on. */
  readonly pressed?: boolean;
  /** Why it does nothing now: what stands at the head keeps its place, and does not vanish under the finger. */
  readonly off?: string | undefined;
}

/** Another order of the list of people than by organisation. */
export interface Grouping {
  readonly name: string;
  /** Of the choice. */
  readonly text: string;
  /** Titles of the two groups: who has a place, and the others. */
  readonly titles: { readonly placed: string; readonly others: string };
  /** The place in the first group, from 1; undefined: in the second one. Reactive. */
  place(participant: Participant): number | undefined;
}

/** A mark at a person, on the tile and in the list. */
export interface PersonMark {
  readonly name: string;
  readonly icon: IconPath;
  /** What stands beside the icon. */
  readonly text: string;
  /** The whole of it in words. */
  readonly label: string;
}

export type NotificationHandlers = { readonly [N in NotificationName]?: (data: NotificationData<N>) => void };

export interface MeetingModule {
  readonly name: string;
  /** False: administrator, tariff or meeting have switched it off, and nothing of it is shown. Without it: always on. */
  readonly on?: Signal<boolean>;
  readonly panel?: Panel;
  readonly buttons?: readonly BarButton[];
  /** Lies over the stage, and lets everything through that is pressed. */
  readonly stage?: LoadComponent;
  /** Stands in the people panel, above the list. */
  readonly people?: LoadComponent;
  /** In place of the number of people, at the button of their panel: something there asks for attention. */
  readonly peopleBadge?: Signal<Badge | undefined>;
  /** Reactive. */
  mark?(participant: Participant): PersonMark | undefined;
  readonly grouping?: Grouping;
  /**
   * What this person may do now about people: about one, for the menu at that person, or about several that were
   * chosen. Only what changes something about at least one of them, so that no entry is without effect. Reactive.
   */
  actionsOn?(people: readonly Participant[]): readonly PersonAction[];
  /** What this person may do about the whole meeting. Reactive. */
  actionsOnAll?(): readonly MeetingAction[];
  /** The store knows the news already. */
  readonly notifications?: NotificationHandlers;
  /** The conference was entered, or entered again after notifications were missed. */
  joined?(snapshot: ConferenceSnapshot): void;
  /** The conference is over for this person: nothing of it may remain. */
  left?(): void;
}

/** Given as a multi-provider. */
export const MEETING_MODULES = new InjectionToken<readonly MeetingModule[]>('meeting modules');
