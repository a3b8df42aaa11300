/** The push rules of users: their changes to the predefined rules, and their own. */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { z } from 'zod';
import { canonicalJsonWithAnyNumbers, isJsonObject } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { AccountDataStore } from '../../engine/client/account-data-store.ts';
import { MatrixError } from '../../base/errors.ts';
import { PUSH_RULES as MAX_RULES, PUSH_RULES_BYTES as MAX_BYTES } from '../../base/limits.ts';
import { defaultRules, KINDS, MASTER } from './default-rules.ts';
import type { PushRule, RuleKind, RuleSet } from './default-rules.ts';

/** The account data type of the rules; stored in our own format, which clients do not get. */
export const PUSH_RULES = 'm.push_rules';
const CACHED = 10_000;

const action = z.union([z.string().max(255), z.custom<JsonObject>(isJsonObject)]);
export const actionsSchema = z.array(action).max(20);
const condition = z.custom<JsonObject>(isJsonObject);
const ownRule = z.looseObject({
  rule_id: z.string(),
  enabled: z.boolean(),
  actions: actionsSchema,
  conditions: z.array(condition).optional(),
  pattern: z.string().optional(),
});
const storedSchema = z.looseObject({
  own: z.partialRecord(z.enum(KINDS), z.array(ownRule)).default({}),
  /** Changes to predefined rules, by rule id. */
  enabled: z.record(z.string(), z.boolean()).default({}),
  actions: z.record(z.string(), actionsSchema).default({}),
});
type Stored = z.output<typeof storedSchema>;
type OwnRule = z.output<typeof ownRule>;

export interface NewRule {
  readonly actions: PushRule['actions'];
  readonly conditions?: readonly JsonObject[] | undefined;
  readonly pattern?: string | undefined;
}

export class PushRules {
  readonly #accountData: AccountDataStore;
  readonly #cache = new LRUCache<string, RuleSet>(atMost(CACHED));
  /** Incremented by each change: what was read before one is not cached. */
  #generation = 0;

  constructor(accountData: AccountDataStore) {
    this.#accountData = accountData;
  }

  async of(userId: string): Promise<RuleSet> {
    const cached = this.#cache.get(userId);
    if (cached) return cached;
    const generation = this.#generation;
    const rules = merged(userId, read(await this.#accountData.get(userId, '', PUSH_RULES)));
    if (generation === this.#generation) this.#cache.set(userId, rules);
    return rules;
  }

  /** The rules of a user, if they are cached. */
  known(userId: string): RuleSet | undefined {
    return this.#cache.get(userId);
  }

  /** Loads the rules of many users into the cache. */
  async prepare(userIds: readonly string[]): Promise<void> {
    const missing = userIds.filter((userId) => this.#cache.peek(userId) === undefined);
    if (missing.length < 2) return;
    const generation = this.#generation;
    const stored = await this.#accountData.ofUsers(missing, PUSH_RULES);
    if (generation !== this.#generation) return;
    for (const userId of missing) this.#cache.set(userId, merged(userId, read(stored.get(userId))));
  }

  /** The content of `m.push_rules`. */
  async content(userId: string): Promise<JsonObject> {
    return { global: { ...(await this.of(userId)) } as unknown as JsonObject };
  }

  /** @throws MatrixError 404 */
  async rule(userId: string, kind: RuleKind, id: string): Promise<PushRule> {
    const rule = (await this.of(userId))[kind].find((one) => one.rule_id === id);
    if (!rule) throw new MatrixError(404, 'M_NOT_FOUND', 'No such push rule.');
    return rule;
  }

  /**
   * Adds or changes one of the user's own rules.
   *
   * @param place before or after which other own rule it goes; by default a new rule is first, and an existing one stays
   * @throws MatrixError 400 or 404
   */
  async put(
    userId: string,
    kind: RuleKind,
    id: string,
    rule: NewRule,
    place: { readonly before?: string | undefined; readonly after?: string | undefined },
  ): Promise<void> {
    await this.#change(userId, (stored) => {
      const list = [...(stored.own[kind] ?? [])];
      const at = list.findIndex((one) => one.rule_id === id);
      const [old] = at >= 0 ? list.splice(at, 1) : [];
      const fresh = {
        rule_id: id,
        enabled: old?.enabled ?? true,
        actions: [...rule.actions],
        ...(rule.conditions === undefined ? {} : { conditions: [...rule.conditions] }),
        ...(rule.pattern === undefined ? {} : { pattern: rule.pattern }),
      };
      const next = place.before ?? place.after;
      const beside = list.findIndex((one) => one.rule_id === next);
      if (next !== undefined && beside < 0) {
        throw new MatrixError(
          next.startsWith('.') ? 400 : 404,
          next.startsWith('.') ? 'M_INVALID_PARAM' : 'M_NOT_FOUND',
          'The rule given as before or after does not exist.',
        );
      }
      const index = next === undefined ? Math.max(0, at) : place.before === undefined ? beside + 1 : beside;
      list.splice(index, 0, fresh);
      if (list.length > MAX_RULES)
        throw new MatrixError(400, 'M_LIMIT_EXCEEDED', 'You have too many push rules. Delete one first.');
      return { ...stored, own: { ...stored.own, [kind]: list } };
    });
  }

  /**
   * @throws MatrixError 404 when it is not one of the user's own rules
   *
   * @throws MatrixError 404 for no rule of the user's own
   */
  async remove(userId: string, kind: RuleKind, id: string): Promise<void> {
    await this.#change(userId, (stored) => {
      const list = stored.own[kind] ?? [];
      if (!list.some((one) => one.rule_id === id)) throw new MatrixError(404, 'M_NOT_FOUND', 'No such push rule.');
      return { ...stored, own: { ...stored.own, [kind]: list.filter((one) => one.rule_id !== id) } };
    });
  }

  /** @throws MatrixError 404 */
  async change(
    userId: string,
    kind: RuleKind,
    id: string,
    to: { readonly enabled: boolean } | { readonly actions: PushRule['actions'] },
  ): Promise<void> {
    const rule = await this.rule(userId, kind, id);
    await this.#change(userId, (stored) => {
      if (rule.default) {
        if ('enabled' in to) return { ...stored, enabled: { ...stored.enabled, [id]: to.enabled } };
        return { ...stored, actions: { ...stored.actions, [id]: [...to.actions] } };
      }
      const list = (stored.own[kind] ?? []).map((one) =>
        one.rule_id === id ? { ...one, ...('enabled' in to ? to : { actions: [...to.actions] }) } : one,
      );
      return { ...stored, own: { ...stored.own, [kind]: list } };
    });
  }

  /** Copies a user's rules for one room to another. */
  async carryOver(userId: string, from: string, to: string): Promise<void> {
    if (!carriedOver(read(await this.#accountData.get(userId, '', PUSH_RULES)), from, to)) return;
    await this.#change(userId, (stored) => carriedOver(stored, from, to) ?? stored);
  }

  async #change(userId: string, change: (stored: Stored) => Stored): Promise<void> {
    await this.#accountData.update(userId, '', PUSH_RULES, (content) => {
      const [before, after] = [content ?? {}, change(read(content)) as unknown as JsonObject];
      const bytes = Buffer.byteLength(canonicalJsonWithAnyNumbers(after));
      // A user who exceeds the limit can still delete rules.
      if (bytes > MAX_BYTES && bytes > Buffer.byteLength(canonicalJsonWithAnyNumbers(before))) {
        throw new MatrixError(400, 'M_TOO_LARGE', `Push rules may have at most ${String(MAX_BYTES)} bytes in total.`);
      }
      return after;
    });
    this.#generation += 1;
    this.#cache.delete(userId);
  }
}

function read(content: JsonObject | undefined): Stored {
  return storedSchema.parse(content ?? {});
}

/** The rules, with those of one room copied to another; undefined when there are none, or when that one has its own. */
function carriedOver(stored: Stored, from: string, to: string): Stored | undefined {
  const own = { ...stored.own };
  let isChanged = false;
  for (const kind of KINDS) {
    const list = own[kind] ?? [];
    const found = list.filter((rule) => isOfRoom(kind, rule, from));
    if (found.length === 0 || list.length >= MAX_RULES || list.some(({ rule_id: id }) => id === to)) continue;
    own[kind] = list.flatMap((rule) =>
      rule === found[0] ? [{ ...forRoom(rule, from, to), rule_id: to }, rule] : rule,
    );
    isChanged = true;
  }
  return isChanged ? { ...stored, own } : undefined;
}

function isOfRoom(kind: RuleKind, rule: OwnRule, roomId: string): boolean {
  if (kind === 'room') return rule.rule_id === roomId;
  return rule.conditions?.some((one) => isRoomCondition(one, roomId)) === true;
}

function isRoomCondition(one: JsonObject, roomId: string): boolean {
  return one['kind'] === 'event_match' && one['key'] === 'room_id' && one['pattern'] === roomId;
}

function forRoom(rule: OwnRule, from: string, to: string): OwnRule {
  const conditions = rule.conditions?.map((one) => (isRoomCondition(one, from) ? { ...one, pattern: to } : one));
  return conditions === undefined ? rule : { ...rule, conditions };
}

/** A predefined rule with the user's changes; the same object if there are none. */
function changed(rule: PushRule, stored: Stored): PushRule {
  const enabled = Object.hasOwn(stored.enabled, rule.rule_id) ? stored.enabled[rule.rule_id] : undefined;
  const actions = Object.hasOwn(stored.actions, rule.rule_id) ? stored.actions[rule.rule_id] : undefined;
  if (enabled === undefined && actions === undefined) return rule;
  return { ...rule, enabled: enabled ?? rule.enabled, actions: actions ?? rule.actions };
}

/** The user's own rules come first, except before the master rule. */
function merged(userId: string, stored: Stored): RuleSet {
  const all = defaultRules(userId);
  const set = {} as Record<RuleKind, readonly PushRule[]>;
  for (const kind of KINDS) {
    const given = all[kind].map((rule) => changed(rule, stored));
    const own = (stored.own[kind] ?? []).map((rule): PushRule => ({
      rule_id: rule.rule_id,
      default: false,
      enabled: rule.enabled,
      actions: rule.actions,
      ...(rule.conditions === undefined ? {} : { conditions: rule.conditions }),
      ...(rule.pattern === undefined ? {} : { pattern: rule.pattern }),
    }));
    const master = given.filter((rule) => rule.rule_id === MASTER);
    set[kind] = [...master, ...own, ...given.filter((rule) => rule.rule_id !== MASTER)];
  }
  return set;
}
