/** Tokens that somebody hands to another service, so that it can ask here who they are. */
import type { Database } from '../database/database.ts';
import type { Accounts } from './accounts.ts';
import { hashSecret, newSecret } from './secrets.ts';

/** In seconds. */
export const OPENID_LIFE_S = 3600;

export class OpenIdTokens {
  readonly #db: Database;
  readonly #accounts: Accounts;
  readonly #now: () => number;

  /** @param now the clock, Unix ms */
  constructor(db: Database, accounts: Accounts, now: () => number = Date.now) {
    this.#db = db;
    this.#accounts = accounts;
    this.#now = now;
  }

  /** Makes a token that says who a local user is, for an hour. It opens nothing. */
  async issue(userId: string): Promise<string> {
    const token = newSecret('hso_');
    const now = this.#now();
    // What has expired goes as new ones come, so that the table does not grow.
    await this.#db.query('DELETE FROM openid_tokens WHERE expires_at <= $1', [now]);
    await this.#db.query('INSERT INTO openid_tokens (hash, localpart, expires_at) VALUES ($1, $2, $3)', [
      hashSecret(token),
      this.#accounts.localpart(userId) ?? '',
      now + OPENID_LIFE_S * 1000,
    ]);
    return token;
  }

  /** Whose token it is; undefined for an unknown or expired one, and for ended accounts. */
  async userOf(token: string): Promise<string | undefined> {
    const [row] = await this.#db.query<{ localpart: string }>(
      `SELECT localpart FROM openid_tokens JOIN users USING (localpart)
       WHERE hash = $1 AND expires_at > $2 AND deactivated_at IS NULL`,
      [hashSecret(token), this.#now()],
    );
    return row && this.#accounts.userId(row.localpart);
  }
}
