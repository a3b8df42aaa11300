/** The rules of a meeting: what not everybody may do in it, who may nevertheless, who gets in, and how long it goes. */
import * as z from 'zod';
import { serverNameSchema, userIdSchema } from '../ids.ts';
import { sourceSchema, type Source } from '../media.ts';
import { timeSchema } from '../values.ts';

/** Most people whom a restriction lets through by name. */
export const MAX_ALLOWED = 500;
/** Most participants that a limit can name. */
export const MAX_PARTICIPANTS = 100_000;

/** What owners, moderators and those in `allow` may do only, while it is restricted. */
export const restrictionSchema = z.object({
  restricted: z.boolean(),
  allow: z.array(userIdSchema).max(MAX_ALLOWED, `names more than ${String(MAX_ALLOWED)} people`),
});
export type Restriction = z.infer<typeof restrictionSchema>;

/** Each rule by its name, as clients have it. Without a rule nothing is restricted. */
export const ruleSchemas = {
  microphone: restrictionSchema,
  camera: restrictionSchema,
  /** The screen and its sound. */
  screen: restrictionSchema,
  chat: restrictionSchema,
  reactions: restrictionSchema,
  hands: restrictionSchema,
  /** Changing one's own name in the meeting. */
  rename: restrictionSchema,
  /** While it is locked, only owners and moderators enter the conference anew. */
  lock: z.object({ locked: z.boolean() }),
  /** Who waits to be admitted. */
  waiting: z.object({ for: z.enum(['nobody', 'guests', 'everybody']) }),
  limit: z.object({
    participants: z.number().int().min(1).max(MAX_PARTICIPANTS).optional(),
    /** Unix time in ms. */
    endsAt: timeSchema.optional(),
  }),
  /** Who reads the log of the meeting. */
  log: z.object({ for: z.enum(['moderators', 'everybody']) }),
} as const;

export const rulesSchema = z.object(ruleSchemas);
export type Rules = z.infer<typeof rulesSchema>;
export type RuleName = keyof Rules;

const open: Restriction = { restricted: false, allow: [] };
/** The rules of a meeting in which none was set. */
export const NO_RULES: Rules = {
  microphone: open,
  camera: open,
  screen: open,
  chat: open,
  reactions: open,
  hands: open,
  rename: open,
  lock: { locked: false },
  waiting: { for: 'nobody' },
  limit: {},
  log: { for: 'moderators' },
};

/** Their names, as an enumeration for schemas. */
export const ruleNameSchema = z.enum(Object.keys(ruleSchemas) as [RuleName, ...RuleName[]]);

/** The rules that are restrictions. */
export const restrictionNameSchema = z.enum(['microphone', 'camera', 'screen', 'chat', 'reactions', 'hands', 'rename']);
export type RestrictionName = z.infer<typeof restrictionNameSchema>;

/** Which rule a source is under. */
export const RULE_OF_SOURCE: Readonly<Record<Source, RestrictionName>> = {
  microphone: 'microphone',
  camera: 'camera',
  screen: 'screen',
  'screen-audio': 'screen',
};

const change = <N extends RuleName>(rule: N) => z.object({ rule: z.literal(rule), value: ruleSchemas[rule] });

/** One rule with what it is to be. */
export const ruleChangeSchema = z.discriminatedUnion('rule', [
  change('microphone'),
  change('camera'),
  change('screen'),
  change('chat'),
  change('reactions'),
  change('hands'),
  change('rename'),
  change('lock'),
  change('waiting'),
  change('limit'),
  change('log'),
]);

export const requests = {
  /** Sets one rule; needs the right `set-rules`. Of changes at the same time the one that the room resolves to holds. */
  'rules.set': { params: ruleChangeSchema, result: z.object({}) },
} as const;

export const notifications = {
  /** All rules as they are now. */
  'rules.changed': rulesSchema,
  /** A rule has ended what the one who is told was sending: paused (microphone, camera) or closed (screen). */
  'rules.stopped': z.object({
    source: sourceSchema,
    /** Who has set the rule; absent when it did not change but who may. */
    by: z.string().max(256).optional(),
    organisation: serverNameSchema.optional(),
  }),
} as const;

export const snapshot = rulesSchema;
