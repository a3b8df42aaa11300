/** Chat of a meeting. */
import * as z from 'zod';
import { eventIdSchema, roomIdSchema, serverNameSchema, transactionIdSchema, userIdSchema } from '../ids.ts';
import { listOf, shownTimeSchema, timeSchema } from '../values.ts';

/** Longest chat message, in characters. */
export const CHAT_MAX_LENGTH = 4_000;

/**
 * Place of a message in the order of the own homeserver, which is the order to show: first the depth in the room's graph,
 * then the order of arrival. Times are of foreign clocks and order nothing.
 */
export const chatPositionSchema = z.tuple([z.number().int(), z.number().int()]);
export type ChatPosition = z.infer<typeof chatPositionSchema>;

export const chatMessageSchema = z.object({
  eventId: eventIdSchema,
  roomId: roomIdSchema,
  sender: userIdSchema,
  /** The name at the time of the message; of somebody who has left the last known one. */
  displayName: z.string().max(256),
  organisation: serverNameSchema,
  /** As of a participant. */
  guest: z.boolean(),
  /** The newest text: that of the last edit where there is one. */
  body: z.string().max(65_536),
  /** Present when the sender has edited the message: Unix time in ms of the last edit, by the sender's homeserver. */
  editedAt: shownTimeSchema,
  /** Unix time in ms by the sender's homeserver, for show only. */
  sentAt: timeSchema.catch(0),
  position: chatPositionSchema,
  /** The transaction id, for the sending device only. */
  transactionId: z.string().max(255).optional(),
});
export type ChatMessage = z.infer<typeof chatMessageSchema>;

/** Sorts messages from the oldest to the newest. */
export function compareChatPositions(a: ChatPosition, b: ChatPosition): number {
  return a[0] - b[0] || a[1] - b[1];
}

export const requests = {
  'chat.send': {
    params: z.object({
      roomId: roomIdSchema,
      transactionId: transactionIdSchema,
      body: z.string().min(1).max(CHAT_MAX_LENGTH),
    }),
    result: z.object({ eventId: z.string(), position: chatPositionSchema }),
  },
  /** Newest page without `before`; `before` is the `next` of the page before. */
  'chat.history': {
    params: z.object({
      roomId: roomIdSchema,
      before: z.string().max(255).optional(),
      limit: z.number().int().min(1).max(100).optional(),
    }),
    result: z.object({ messages: listOf(chatMessageSchema), next: z.string().optional() }),
  },
} as const;

export const notifications = {
  'chat.message': chatMessageSchema,
  /** A message was edited, or an edit was taken back: replaces the message of this `eventId`, where the client has it. */
  'chat.changed': chatMessageSchema,
  /** A message was deleted. */
  'chat.removed': z.object({ roomId: roomIdSchema, eventId: eventIdSchema }),
} as const;
