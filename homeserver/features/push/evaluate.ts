/**
 * Evaluates the push rules of a user for an event.
 *
 * @see Matrix specification, client-server API, "Push Rules", "Conditions"
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import { isImpartial } from './default-rules.ts';
import type { PushRule, RuleSet } from './default-rules.ts';
import { matchesWhole, matchesWords, MAX_PATTERN, newBudget } from '../../base/glob.ts';
import type { Budget } from '../../base/glob.ts';

/** An event for the evaluation, and what conditions need to know about the room. */
export interface PushSubject {
  /** With `room_id`. */
  readonly event: JsonObject;
  readonly roomId: string;
  readonly sender: string;
  readonly memberCount: () => Promise<number>;
  /** Display name of the user in the room. */
  readonly displayName: () => Promise<string | undefined>;
  /** Whether the sender may notify the whole room. */
  readonly mayNotify: (key: string) => Promise<boolean>;
  /** Cached results of rules that are the same for all users; shared by all recipients of the event. */
  readonly known: Map<PushRule, boolean>;
}

/** These only apply to events without `m.mentions`. */
const BEFORE_MENTIONS = ['.m.rule.contains_display_name', '.m.rule.roomnotif', '.m.rule.contains_user_name'];

/** With the budget of one user for matching patterns. */
type Evaluation = PushSubject & { readonly budget: Budget };

/** The actions of the rule that applies; undefined when none does. */
export type Outcome = PushRule['actions'] | undefined;

/**
 * Finds the rule that applies. A message to a thousand users needs a thousand evaluations, so it is synchronous where
 * nothing has to be read.
 */
export function evaluate(rules: RuleSet, asked: PushSubject): Outcome | Promise<Outcome> {
  const subject = { ...asked, budget: newBudget() };
  const content = member(subject.event, 'content');
  const saysWho = isJsonObject(content) && Object.hasOwn(content, 'm.mentions');
  const applies = (rule: PushRule): boolean => rule.enabled && !(saysWho && BEFORE_MENTIONS.includes(rule.rule_id));
  const rest = (): Outcome | Promise<Outcome> => {
    const body = property(subject.event, 'content.body');
    for (const rule of rules.content) {
      if (typeof body === 'string' && applies(rule) && matchesWords(rule.pattern ?? '', body, subject.budget))
        return rule.actions;
    }
    for (const rule of rules.room) if (rule.enabled && rule.rule_id === subject.roomId) return rule.actions;
    for (const rule of rules.sender) if (rule.enabled && rule.rule_id === subject.sender) return rule.actions;
    return firstThatHolds(rules.underride, applies, subject, () => undefined);
  };
  return firstThatHolds(rules.override, applies, subject, rest);
}

/** The actions of the first matching rule, otherwise the continuation. */
function firstThatHolds(
  rules: readonly PushRule[],
  applies: (rule: PushRule) => boolean,
  subject: Evaluation,
  after: () => Outcome | Promise<Outcome>,
): Outcome | Promise<Outcome> {
  for (const [at, rule] of rules.entries()) {
    if (!applies(rule)) continue;
    const held = holdFor(rule, subject);
    if (held === true) return rule.actions;
    if (held === false) continue;
    return held.then((value) => (value ? rule.actions : firstThatHolds(rules.slice(at + 1), applies, subject, after)));
  }
  return after();
}

/** Whether all conditions of a rule hold; for most rules this is evaluated once for all users. */
function holdFor(rule: PushRule, subject: Evaluation): boolean | Promise<boolean> {
  const known = subject.known.get(rule);
  if (known !== undefined) return known;
  const held = allHold(rule.conditions ?? [], 0, subject);
  if (!isImpartial(rule)) return held;
  if (typeof held === 'boolean') subject.known.set(rule, held);
  else return held.then((value) => (subject.known.set(rule, value), value));
  return held;
}

function allHold(conditions: readonly JsonObject[], from: number, subject: Evaluation): boolean | Promise<boolean> {
  for (let at = from; at < conditions.length; at++) {
    const condition = conditions[at];
    const held = condition === undefined || holds(condition, subject);
    if (held === false) return false;
    if (held !== true) return held.then((value) => value && allHold(conditions, at + 1, subject));
  }
  return true;
}

function holds(condition: JsonObject, subject: Evaluation): boolean | Promise<boolean> {
  const [kind, key] = [member(condition, 'kind'), member(condition, 'key')];
  const value = typeof key === 'string' ? property(subject.event, key) : undefined;
  switch (kind) {
    case 'event_match': {
      const pattern = member(condition, 'pattern');
      if (typeof value !== 'string' || typeof pattern !== 'string') return false;
      return key === 'content.body'
        ? matchesWords(pattern, value, subject.budget)
        : matchesWhole(pattern, value, subject.budget);
    }
    case 'event_property_is':
      return value !== undefined && isScalar(value) && value === member(condition, 'value');
    case 'event_property_contains': {
      const wanted = member(condition, 'value');
      return Array.isArray(value) && wanted !== undefined && isScalar(wanted) && value.includes(wanted);
    }
    case 'contains_display_name': {
      const body = property(subject.event, 'content.body');
      if (typeof body !== 'string') return false;
      // Glob characters have no special meaning in a name.
      return subject.displayName().then((name) => name !== undefined && name !== '' && containsWords(body, name));
    }
    case 'room_member_count':
      return subject.memberCount().then((count) => isCount(member(condition, 'is'), count));
    case 'sender_notification_permission':
      return typeof key === 'string' && subject.mayNotify(key);
    default:
      return false;
  }
}

function isScalar(value: JsonValue): boolean {
  return typeof value !== 'object' || value === null;
}

function containsWords(text: string, name: string): boolean {
  const [all, part] = [text.toLowerCase(), name.toLowerCase()];
  const isWord = (character: string | undefined): boolean => character !== undefined && /[a-z0-9_]/.test(character);
  for (let at = all.indexOf(part); at >= 0; at = all.indexOf(part, at + 1)) {
    const [before, first] = [all[at - 1], all[at]];
    const [last, after] = [all[at + part.length - 1], all[at + part.length]];
    if (!(isWord(before) && isWord(first)) && !(isWord(last) && isWord(after))) return true;
  }
  return false;
}

function isCount(is: JsonValue | undefined, count: number): boolean {
  const found = typeof is === 'string' ? /^(==|<=|>=|<|>)?([0-9]{1,9})$/.exec(is) : null;
  if (!found) return false;
  const wanted = Number(found[2]);
  if (found[1] === '<') return count < wanted;
  if (found[1] === '>') return count > wanted;
  if (found[1] === '<=') return count <= wanted;
  if (found[1] === '>=') return count >= wanted;
  return count === wanted;
}

/** The value at a path such as `content.m\.mentions.room`; a backslash escapes a dot. */
export function property(event: JsonObject, path: string): JsonValue | undefined {
  if (path.length > MAX_PATTERN) return undefined;
  let value: JsonValue | undefined = event;
  for (const name of names(path)) {
    if (!isJsonObject(value)) return undefined;
    value = member(value, name);
  }
  return value;
}

const parsed = new LRUCache<string, readonly string[]>(atMost(1_000));

function names(path: string): readonly string[] {
  const known = parsed.get(path);
  if (known) return known;
  const list = [''];
  for (const [part] of path.matchAll(/\\[\\.]|[^.\\]+|\\|\./g)) {
    if (part === '.') list.push('');
    else list.push(`${list.pop() ?? ''}${/^\\[\\.]$/.test(part) ? part.slice(1) : part}`);
  }
  parsed.set(path, list);
  return list;
}
