/**
 * How a participant of ours stands to its conference. docs/architecture.md shows the states and what leads from one to
 * another; a spec compares the picture with the table here.
 */
import type { Cancel } from '../../base/clock.ts';
import type { Notifier } from './notification.ts';

/** Keeps a conference open. Released once; with the last hold on it the conference is closed. */
export interface Hold {
  release(): void;
}

export type ParticipantState =
  /** On the way in: the seat can be taken away, and nobody has been told of it. */
  | {
      readonly kind: 'entering';
      readonly hold: Hold;
      readonly notifier: Notifier;
      /** `written` from the moment on in which writing begins: from then on an end is to be written as well. */
      readonly membership: 'unwritten' | 'written';
    }
  | { readonly kind: 'here'; readonly hold: Hold; readonly notifier: Notifier }
  /** The client is away. The session keeps the seat until it expires; after a restart, when there is none, a timer does. */
  | { readonly kind: 'reconnecting'; readonly hold: Hold; readonly notifier: Notifier }
  | { readonly kind: 'reconnecting'; readonly hold: Hold; readonly notifier: undefined; readonly endGrace: Cancel }
  /** Out of the conference, and the end is to be written in the room. */
  | { readonly kind: 'leaving' }
  | { readonly kind: 'gone' };

export type StateKind = ParticipantState['kind'];

/** From which state each transition leads where. */
export const TRANSITIONS = {
  enter: { entering: 'here' },
  /** The session dropped, perhaps before its participant was in. */
  drop: { entering: 'reconnecting', here: 'reconnecting' },
  resume: { reconnecting: 'here' },
  /** Another session of the device takes the seat. */
  takeOver: { here: 'here', reconnecting: 'reconnecting' },
  /** The seat was given up or taken away. `abandon` is that of one of which nothing stands in the room. */
  leave: { entering: 'leaving', here: 'leaving', reconnecting: 'leaving' },
  abandon: { entering: 'gone' },
  /** The end is written, or whoever came back has written a new beginning. */
  end: { leaving: 'gone' },
} as const satisfies Readonly<Record<string, Readonly<Partial<Record<StateKind, StateKind>>>>>;

export type Transition = keyof typeof TRANSITIONS;

/** Whether a transition leads away from a state. */
export function leads(transition: Transition, from: StateKind): boolean {
  return from in TRANSITIONS[transition];
}
