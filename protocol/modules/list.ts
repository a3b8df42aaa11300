/** The modules of a meeting. session.ts spreads them into the session protocol. */
import * as z from 'zod';
import * as alone from './alone.ts';
import * as chat from './chat.ts';
import * as hands from './hands.ts';
import * as moderation from './moderation.ts';
import * as organisations from './organisations.ts';
import * as reactions from './reactions.ts';
import * as rules from './rules.ts';
import * as waiting from './waiting.ts';

/** Each module by its name. */
export interface Modules {
  readonly alone: typeof alone;
  readonly chat: typeof chat;
  readonly hands: typeof hands;
  readonly moderation: typeof moderation;
  readonly organisations: typeof organisations;
  readonly reactions: typeof reactions;
  readonly rules: typeof rules;
  readonly waiting: typeof waiting;
}
export type ModuleName = keyof Modules;
/** Their names, as an enumeration for schemas. */
export const moduleNames = {
  alone: 'alone',
  chat: 'chat',
  hands: 'hands',
  moderation: 'moderation',
  organisations: 'organisations',
  reactions: 'reactions',
  rules: 'rules',
  waiting: 'waiting',
} as const satisfies { readonly [Name in ModuleName]: Name };

export const requests = {
  ...alone.requests,
  ...chat.requests,
  ...hands.requests,
  ...moderation.requests,
  ...organisations.requests,
  ...reactions.requests,
  ...rules.requests,
  ...waiting.requests,
} as const;

export const notifications = {
  ...alone.notifications,
  ...chat.notifications,
  ...hands.notifications,
  ...moderation.notifications,
  ...organisations.notifications,
  ...reactions.notifications,
  ...rules.notifications,
  ...waiting.notifications,
} as const;

/**
 * What a participant is and does right now beyond media, one optional key for each signal of a module. One that is bad
 * counts as absent and leaves the rest of the participant alone.
 */
export const signalsSchema = z.object({ ...hands.signals });
export type Signals = z.infer<typeof signalsSchema>;

/** The signals that are there. */
export function withoutAbsent(signals: Signals): Signals {
  return Object.fromEntries(Object.entries(signals).filter(([, signal]) => signal !== undefined));
}

/** What a joining client gets of each module that is on; absent is off. */
export const snapshotsSchema = z.object({
  alone: alone.snapshot.optional(),
  hands: hands.snapshot.optional(),
  reactions: reactions.snapshot.optional(),
  rules: rules.snapshot.optional(),
  waiting: waiting.snapshot.optional(),
});
export type Snapshots = z.infer<typeof snapshotsSchema>;
