/** The inactivity guard: what becomes of somebody who is alone in a meeting. Times are settings of the own organisation. */
import * as z from 'zod';

/** `alone`: nothing has happened yet; `media-off`: microphone and camera were switched off; `asked`: whether to stay. */
export const aloneStageSchema = z.enum(['together', 'alone', 'media-off', 'asked']);
export type AloneStage = z.infer<typeof aloneStageSchema>;

const state = z.object({
  stage: aloneStageSchema,
  /** In how many ms the conference is left for the person, when nobody comes and nothing is answered; absent: never. */
  leavesInMs: z.number().int().min(0).optional(),
});
export type AloneState = z.infer<typeof state>;

export const requests = {
  /** The answer to the question: all times begin anew. */
  'alone.stay': { params: z.object({}), result: z.object({}) },
} as const;

export const notifications = { 'alone.changed': state } as const;

export const snapshot = state;
