/** Waiting for a place in a conference, as whoever waits sees it. Moderators see who waits in modules/waiting.ts. */
import * as z from 'zod';
import { roomIdSchema } from './ids.ts';

/** Why somebody has to wait. */
export const waitingReasonSchema = z.enum(['waiting-room', 'full', 'locked']);
export type WaitingReason = z.infer<typeof waitingReasonSchema>;

const state = {
  reason: waitingReasonSchema,
  /** The client of a moderator, of whichever organisation, was told that this person waits. */
  told: z.boolean(),
};

export const requests = {
  /**
   * Waits for admission, after `conference.join` was refused with `must-wait`. Who waits has no place in the conference and
   * learns nothing of it. A session that dropped waits on for as long as it would keep a place.
   */
  'conference.wait': {
    params: z.object({ roomId: roomIdSchema }),
    result: z.object({
      /** Of the meeting, safe to show; empty where it has none. */
      title: z.string().max(512),
      ...state,
    }),
  },
  'conference.stop-waiting': { params: z.object({}), result: z.object({}) },
} as const;

export const notifications = {
  'waiting.changed': z.object(state),
  /**
   * The waiting is over. `admitted`: join now, as anybody else; who must wait nevertheless, because the meeting was locked
   * meanwhile, waits again. `ended`: the meeting, the link or the invitation is over.
   */
  'waiting.ended': z.object({ outcome: z.enum(['admitted', 'refused', 'ended']) }),
} as const;
