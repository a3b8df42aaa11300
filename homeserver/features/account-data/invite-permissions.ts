/**
 * From whom a user accepts invites.
 *
 * @see MSC4155 (lists of users and servers), MSC4380 (nobody at all)
 */
import { serverOf } from '../../../federation/event.ts';
import { isJsonObject, member, parseWithAnyNumbers } from '../../../federation/json.ts';
import { isServerAccount } from '../../accounts/localpart.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { matchesWhole } from '../../base/glob.ts';
import type { InvitePermissions, InviteRule } from '../../engine/rooms/ports.ts';

/** Both names have the same effect. */
export const INVITE_PERMISSION_TYPES = ['org.matrix.msc4155.invite_permission_config', 'm.invite_permission_config'];
/** The first match applies: rules for users before rules for servers. */
const LISTS: readonly (readonly [name: string, rule: InviteRule, ofServers: boolean])[] = [
  ['allowed_users', 'allow', false],
  ['ignored_users', 'ignore', false],
  ['blocked_users', 'block', false],
  ['allowed_servers', 'allow', true],
  ['ignored_servers', 'ignore', true],
  ['blocked_servers', 'block', true],
];
const MAX_PATTERNS = 1000;
const MAX_PATTERN = 255;

export class StoredInvitePermissions implements InvitePermissions {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The rule for an invite of a local user. */
  async rule(userId: string, sender: string): Promise<InviteRule> {
    // Nobody reads or answers in those rooms.
    if (isServerAccount(userId)) return 'block';
    const rows = await this.#db.query<{ json: string }>(
      `SELECT json FROM account_data WHERE user_id = $1 AND room_id = '' AND type = ANY($2) AND NOT deleted`,
      [userId, INVITE_PERMISSION_TYPES],
    );
    const rules = rows.map(({ json }) => ruleIn(parseWithAnyNumbers(json), sender));
    return rules.find((rule) => rule === 'block') ?? rules.find((rule) => rule === 'ignore') ?? 'allow';
  }

  /** @throws MatrixError 403 when the user does not accept invites from the sender */
  async check(userId: string, sender: string): Promise<void> {
    if ((await this.rule(userId, sender)) === 'block') {
      throw new MatrixError(403, 'M_INVITE_BLOCKED', 'This user does not accept invites from you.');
    }
  }
}

/** The rule in the content of this account data, which is unvalidated. */
export function ruleIn(content: unknown, sender: string): InviteRule {
  if (!isJsonObject(content)) return 'allow';
  for (const [name, rule, ofServers] of LISTS) {
    const patterns = content[name];
    if (!Array.isArray(patterns)) continue;
    const text = ofServers ? serverOf(sender) : sender;
    if (patterns.slice(0, MAX_PATTERNS).some((pattern) => fits(pattern, text))) return rule;
  }
  return member(content, 'default_action') === 'block' ? 'block' : 'allow';
}

function fits(pattern: unknown, text: string): boolean {
  return typeof pattern === 'string' && pattern.length <= MAX_PATTERN && matchesWhole(pattern, text);
}
