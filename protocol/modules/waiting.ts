/** Who waits for a place in the conference, for those who may admit them (right `admit`): see ../waiting.ts for the others. */
import * as z from 'zod';
import { serverNameSchema, userIdSchema } from '../ids.ts';
import { listOf, timeSchema } from '../values.ts';

/**
 * How somebody comes to wait: by a link, by an invitation, by asking to be let in (a knock, with any Matrix client), or as
 * a member of the meeting who is not admitted to the conference.
 */
export const waitingKindSchema = z.enum(['guest', 'invited', 'knock', 'member']);
export type WaitingKind = z.infer<typeof waitingKindSchema>;

/** Somebody who waits, with any number of devices. */
export const waitingPersonSchema = z.object({
  userId: userIdSchema,
  /** Safe to show. */
  displayName: z.string().max(256),
  /** Server name of the person's organisation, which does not vouch for the name of a guest. */
  organisation: serverNameSchema,
  guest: z.boolean(),
  kind: waitingKindSchema,
  /** Unix ms: the list is in this order. */
  since: timeSchema.catch(0),
});
export type WaitingPerson = z.infer<typeof waitingPersonSchema>;

/** Always whole. */
export const waitingListSchema = z.object({
  /** Those who have waited longest: at most 50 of each organisation. */
  people: listOf(waitingPersonSchema),
  /** How many wait altogether. */
  count: z.number().int().min(0),
});
export type WaitingList = z.infer<typeof waitingListSchema>;

const userIds = z.array(userIdSchema).min(1).max(500);
/** Those of whom it was not done: they do not wait any more, or their organisation was not reached. */
const outcome = z.object({ failed: z.array(userIdSchema) });

/** All need the right `admit`. */
export const requests = {
  'waiting.admit': { params: z.object({ userIds }), result: outcome },
  /** Everybody who waits at this moment, also those who are not in the list. */
  'waiting.admit-all': { params: z.object({}), result: outcome },
  /** Who is refused cannot wait again in this meeting, unless a moderator invites them. */
  'waiting.refuse': { params: z.object({ userIds }), result: outcome },
} as const;

export const notifications = {
  /** In place of what was told before; to those with the right `admit` only. */
  'waiting.list': waitingListSchema,
} as const;

/** Absent for who may not admit. */
export const snapshot = waitingListSchema;
