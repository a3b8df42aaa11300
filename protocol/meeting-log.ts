/** The log of a meeting: who came, went, was admitted, muted or removed, and by whom; `GET /meetings/:roomId/log`. */
import * as z from 'zod';
import { serverNameSchema, userIdSchema } from './ids.ts';
import { listOf, shownTimeSchema, timeSchema } from './values.ts';

/** Entries of one page. */
export const LOG_PAGE = 100;
/** People named in one entry; more are counted. */
export const LOG_NAMED = 20;

/**
 * What an entry tells. Those before the waiting room's come from the room's signed events; those of orders that the instance
 * has given or taken bear the names of their actions.
 */
export const logKindSchema = z.enum([
  'entered',
  'left',
  'joined',
  'invited',
  'knocked',
  'declined',
  'withdrawn',
  'quit',
  'removed',
  'banned',
  'unbanned',
  'named',
  'role',
  'rule',
  'title',
  'shut-out',
  'let-in',
  // The waiting room.
  'waits',
  'admitted',
  'refused',
  'wait',
  // Orders.
  'mute',
  'camera-off',
  'stop-share',
  'ask-unmute',
  'lower-hand',
  'rename',
  'end',
  /** What happened in a while is not known, or not of one organisation. */
  'gap',
]);
export type LogKind = z.infer<typeof logKindSchema>;

export const logPersonSchema = z.object({
  userId: userIdSchema,
  /** The name of that time, safe to show. */
  displayName: z.string().max(256),
  organisation: serverNameSchema,
  guest: z.boolean().catch(false),
});
export type LogPerson = z.infer<typeof logPersonSchema>;

export const logEntrySchema = z.object({
  id: z.string().max(64),
  /** Unix ms, of the own homeserver's clock. */
  at: timeSchema,
  kind: logKindSchema,
  by: logPersonSchema.optional().catch(undefined),
  /** Those whom it concerned, at most 20 of `count`. */
  whom: listOf(logPersonSchema),
  count: z.number().int().min(0),
  /**
   * Of `role` the new one; of `rule` its name, a colon, and how it is now; of `title` the new one; of `named` the name of
   * before; of `shut-out` and `let-in` the servers; of `end` for whom; of `gap` why: `down` or `absent`.
   */
  detail: z.string().max(512).optional().catch(undefined),
  /** Of a gap, the organisation of which nothing is known; absent: of nobody. */
  organisation: serverNameSchema.optional().catch(undefined),
  /** Of a gap, its end. */
  until: shownTimeSchema,
});
export type LogEntry = z.infer<typeof logEntrySchema>;

/** The newest first. `next`: what to give as `before` for older ones; absent when there are none. */
export const logPageSchema = z.object({ entries: listOf(logEntrySchema), next: z.string().max(64).optional() });
export type LogPage = z.infer<typeof logPageSchema>;
