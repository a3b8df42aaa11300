/**
 * From whom a user wants to be invited.
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

/** What is kept under the one name also counts under the other. */
export const INVITE_PERMISSION_TYPES = ['org.matrix.msc4155.invite_permission_config', 'm.invite_permission_config'];
/** The first that fits counts: what is said of a user before what is said of the server. */
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

  /** What happens to an invitation of a user of ours. */
  async rule(userId: string, sender: string): Promise<InviteRule> {
    // Nobody reads there, and nobody answers.
    if (isServerAccount(userId)) return 'block';
    const rows = await this.#db.query<{ json: string }>(
      `SELECT json FROM account_data WHERE user_id = $1 AND room_id = '' AND type = ANY($2) AND NOT deleted`,
      [userId, INVITE_PERMISSION_TYPES],
    );
    const rules = rows.map(({ json }) => ruleIn(parseWithAnyNumbers(json), sender));
    return rules.find((rule) => rule === 'block') ?? rules.find((rule) => rule === 'ignore') ?? 'allow';
  }

  /** @throws MatrixError 403 when the user does not want to be invited */
  async check(userId: string, sender: string): Promise<void> {
    if ((await this.rule(userId, sender)) === 'block') {
      throw new MatrixError(403, 'M_INVITE_BLOCKED', 'This person does not want to be invited by you.');
    }
  }
}

/** What the content of such account data says; it is as its client wrote it. */
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
