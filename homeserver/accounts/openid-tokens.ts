/** OpenID tokens: a user passes one to another service, which can then ask here who they are. */
import { Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Database } from '../database/database.ts';
import type { Accounts } from './accounts.ts';
import { hashSecret, newSecret } from './secrets.ts';
import { openIdTokenModel } from './tables.ts';
import type { OpenIdTokenRow } from './tables.ts';

/** In seconds. */
export const OPENID_LIFE_S = 3600;

export class OpenIdTokens {
  readonly #tokens: ModelStatic<OpenIdTokenRow>;
  readonly #accounts: Accounts;
  readonly #now: () => number;

  /** @param now the clock, Unix ms */
  constructor(db: Database, accounts: Accounts, now: () => number = Date.now) {
    this.#tokens = openIdTokenModel(db);
    this.#accounts = accounts;
    this.#now = now;
  }

  /** Issues a token that proves who a local user is, for an hour. It gives no access. */
  async issue(userId: string): Promise<string> {
    const token = newSecret('hso_');
    const now = this.#now();
    // Expired tokens are deleted when new ones are issued, so that the table does not grow.
    await this.#tokens.destroy({ where: { expiresAt: { [Op.lte]: now } } });
    await this.#tokens.create({
      hash: hashSecret(token),
      localpart: this.#accounts.localpart(userId) ?? '',
      expiresAt: now + OPENID_LIFE_S * 1000,
    });
    return token;
  }

  /** The user of a token; undefined for an unknown or expired one, and for deactivated accounts. */
  async userOf(token: string): Promise<string | undefined> {
    const row = await this.#tokens.findOne({ where: { hash: hashSecret(token), expiresAt: { [Op.gt]: this.#now() } } });
    const userId = row ? this.#accounts.userId(row.localpart) : undefined;
    return userId !== undefined && (await this.#accounts.exists(userId)) ? userId : undefined;
  }
}
