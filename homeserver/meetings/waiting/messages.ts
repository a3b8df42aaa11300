/** What instances tell each other about who waits: see docs/federation.md. Field names are snake_case, as in Matrix. */
import * as z from 'zod';
import { serverNameSchema, userIdSchema } from '../../../protocol/ids.ts';
import { timeSchema } from '../../../protocol/values.ts';
import { WAITING_TOLD } from '../../base/limits.ts';

/** Servers that an answer names. */
export const MAX_SERVERS = 50;

/** Body of `PUT .../conference/{roomId}/waiting`: the whole list, in place of the one before. */
export const waitingMessageSchema = z.object({
  /** Those who have waited longest. */
  waiting: z
    .array(
      z.object({
        user_id: userIdSchema,
        display_name: z.string().max(1024),
        guest: z.boolean(),
        since_ts: timeSchema,
      }),
    )
    .max(WAITING_TOLD),
  /** How many there are altogether. */
  count: z.number().int().min(0).max(1_000_000),
});
export type WaitingMessage = z.infer<typeof waitingMessageSchema>;

/** Its answer. */
export const waitingAnswerSchema = z.object({
  /** The client of a moderator was told. */
  told: z.boolean(),
  /** Servers with people in the conference. */
  servers: z.array(serverNameSchema).max(MAX_SERVERS).catch([]),
  /** Of those who were named: who may come now, and who was refused. For instances outside of the room. */
  admitted: z.array(userIdSchema).max(WAITING_TOLD).catch([]),
  refused: z.array(userIdSchema).max(WAITING_TOLD).catch([]),
});
export type WaitingAnswer = z.infer<typeof waitingAnswerSchema>;
