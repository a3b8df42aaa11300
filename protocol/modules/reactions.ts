/** Reactions: what people show for a moment. They are summed by organisation and second, and nothing of them is kept. */
import * as z from 'zod';
import { serverNameSchema } from '../ids.ts';

/** All that there are. */
export const reactionSchema = z.enum([
  'clap',
  'thumbs-up',
  'thumbs-down',
  'heart',
  'laugh',
  'surprised',
  'celebrate',
  'thinking',
]);
export type Reaction = z.infer<typeof reactionSchema>;

/** How many people have shown what; each reaction once. */
export const countsSchema = z
  .array(z.object({ reaction: reactionSchema, count: z.number().int().min(1) }))
  .max(reactionSchema.options.length);
export type Counts = z.infer<typeof countsSchema>;

const empty = z.object({});

export const requests = {
  'reactions.send': { params: z.object({ reaction: reactionSchema }), result: empty },
  /** Allows reactions in this meeting or not; needs the right `switch-reactions`. */
  'reactions.switch': { params: z.object({ enabled: z.boolean() }), result: empty },
} as const;

export const notifications = {
  /** What people of an organisation have shown since the last one; at most once a second for each organisation. */
  'reactions.shown': z.object({ organisation: serverNameSchema, counts: countsSchema }),
  /** Reactions were switched on or off. */
  'reactions.changed': z.object({ enabled: z.boolean() }),
} as const;

export const snapshot = z.object({ enabled: z.boolean() });
