/** Raised hands: who wants to speak, in the order in which the hands went up. */
import * as z from 'zod';
import { participantIdSchema } from '../ids.ts';
import { timeSchema } from '../values.ts';

const empty = z.object({});

export const requests = {
  'hands.raise': { params: empty, result: empty },
  /** Lowers one's own hand, or with the right `lower-hands` that of somebody else. */
  'hands.lower': { params: z.object({ participantId: participantIdSchema.optional() }), result: empty },
  /** Lowers everybody's; needs the right `lower-hands`. */
  'hands.lower-all': { params: empty, result: empty },
  /** Allows hands in this meeting or not; needs the right `switch-hands`. To switch off lowers all. */
  'hands.switch': { params: z.object({ enabled: z.boolean() }), result: empty },
} as const;

export const notifications = {
  /** Hands were switched on or off. */
  'hands.changed': z.object({ enabled: z.boolean() }),
  /** Somebody else has lowered the hand of the one who is told. */
  'hands.lowered': z.object({ by: z.string().max(256) }),
} as const;

/** Part of a participant's signals while the hand is up. */
export const handSchema = z.object({
  /** Unix time in ms: the hand that was raised first stands first. */
  raisedAt: timeSchema,
});
export type Hand = z.infer<typeof handSchema>;

export const signals = { hand: handSchema.optional().catch(undefined) } as const;

export const snapshot = z.object({ enabled: z.boolean() });
