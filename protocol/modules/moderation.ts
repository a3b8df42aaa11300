/** What moderators do to somebody else: it is done at the instance of that person, whichever it is. */
import * as z from 'zod';
import { participantIdSchema, serverNameSchema } from '../ids.ts';

/** Organisations that could not be told within a few seconds. */
const outcome = z.object({ unreached: z.array(serverNameSchema) });

export const requests = {
  /** Mutes microphones; needs the right `mute`. Who was muted may speak again when they unmute themselves. */
  'moderation.mute': {
    params: z.object({ participantIds: z.array(participantIdSchema).min(1).max(500) }),
    result: outcome,
  },
  /** Takes somebody out of the conference; needs the right `remove`. */
  'moderation.remove': { params: z.object({ participantId: participantIdSchema }), result: outcome },
} as const;

export const notifications = {
  /** Somebody has muted the one who is told. */
  'moderation.muted': z.object({ by: z.string().max(256), organisation: serverNameSchema }),
} as const;
