/**
 * The rules of a meeting as its state events say them: `org.hansetag.setting.<name>`, which any server in the room may have
 * written. What cannot be read restricts nothing; a restriction whose list cannot be read lets nobody through by name.
 */
import { isUserId } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { type Source, sourceSchema } from '../../../protocol/media.ts';
import {
  MAX_ALLOWED,
  RULE_OF_SOURCE,
  type Restriction,
  type RestrictionName,
  type RuleName,
  ruleNameSchema,
  type Rules,
  ruleSchemas,
} from '../../../protocol/modules/rules.ts';
import type { Role } from '../../../protocol/rights.ts';
import { SETTING } from '../../base/names.ts';

type Readers = { readonly [N in RuleName]: (content: JsonObject) => Rules[N] };

const READERS: Readers = {
  microphone: restriction,
  camera: restriction,
  screen: restriction,
  chat: restriction,
  reactions: restriction,
  hands: restriction,
  rename: restriction,
  lock: (content) => ({ locked: content['locked'] === true }),
  waiting: (content) => ruleSchemas.waiting.catch({ for: 'nobody' }).parse(content),
  limit: ({ participants, ends_at: endsAt }) => ({
    ...present('participants', ruleSchemas.limit.shape.participants.safeParse(participants).data),
    ...present('endsAt', ruleSchemas.limit.shape.endsAt.safeParse(endsAt).data),
  }),
  log: (content) => ruleSchemas.log.catch({ for: 'moderators' }).parse(content),
};

/** A rule by the content of its state event; undefined where the room has none. */
export function readRule<N extends RuleName>(name: N, content: JsonObject | undefined): Rules[N] {
  return READERS[name](content ?? {});
}

/** What a rule is in its state event. */
export function writeRule<N extends RuleName>(name: N, value: Rules[N]): JsonObject {
  if (name !== 'limit') return { ...value };
  const { participants, endsAt } = value as Rules['limit'];
  return { ...present('participants', participants), ...present('ends_at', endsAt) };
}

/** One value for each rule. */
export function rulesBy(read: <N extends RuleName>(name: N) => Rules[N]): Rules {
  return Object.fromEntries(ruleNameSchema.options.map((name) => [name, read(name)])) as Rules;
}

/** The rule that a state event of this type says. */
export function ruleOfType(type: string): RuleName | undefined {
  if (!type.startsWith(SETTING)) return undefined;
  return ruleNameSchema.safeParse(type.slice(SETTING.length)).data;
}

/** Whether somebody may do what a rule restricts. */
export function allows(
  rules: Pick<Rules, RestrictionName>,
  rule: RestrictionName,
  userId: string,
  role: Role,
): boolean {
  const { restricted, allow } = rules[rule];
  return !restricted || isExempt(role) || allow.includes(userId);
}

/** The sources that rules do not let somebody send. */
export function refusedBy(rules: Pick<Rules, RestrictionName>, userId: string, role: Role): Source[] {
  return sourceSchema.options.filter((source) => !allows(rules, RULE_OF_SOURCE[source], userId, role));
}

/** Owners and moderators are under no rule. */
export function isExempt(role: Role): boolean {
  return role === 'owner' || role === 'moderator';
}

function restriction({ restricted, allow }: JsonObject): Restriction {
  const listed = Array.isArray(allow) ? allow : [];
  const ids = new Set<string>();
  for (const id of listed) {
    if (ids.size === MAX_ALLOWED) break;
    if (typeof id === 'string' && isUserId(id)) ids.add(id);
  }
  return { restricted: restricted === true, allow: [...ids] };
}

function present<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>);
}
