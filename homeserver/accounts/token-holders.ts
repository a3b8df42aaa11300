/** The owners of access tokens. Looked up for each request, from the cache or by a prepared statement. */
import type { Database } from '../database/database.ts';
import { hashSecret } from './secrets.ts';
import { TokenCache } from './token-cache.ts';
import { ACCESS_TOKEN_PREFIX, unknownToken } from './token-pairs.ts';
import type { TokenPairs } from './token-pairs.ts';

/** The device and account of a token. */
export interface TokenHolder {
  localpart: string;
  device_id: string;
  expires_at: number | null;
  refreshable: boolean;
  guest: boolean;
  admin: boolean;
  locked: boolean;
  suspended: boolean;
  display_name: string | null;
  last_seen_at: number;
  last_seen_ip: string | null;
}

interface OwnHolder extends TokenHolder {
  access_hash: Buffer;
  previous: Buffer | null;
  used: boolean;
}

const CACHED_TOKENS = 20_000;
const HOLDER = 'u.guest, u.admin, u.locked, u.suspended, u.display_name, d.last_seen_at, d.last_seen_ip';
const OF_HOLDER = 'JOIN users u USING (localpart) JOIN devices d USING (localpart, device_id)';

export class TokenHolders {
  readonly #db: Database;
  readonly #pairs: TokenPairs;
  readonly #now: () => number;
  readonly #cache = new TokenCache<TokenHolder>(CACHED_TOKENS);

  /** @param now the clock, Unix ms */
  constructor(db: Database, pairs: TokenPairs, now: () => number) {
    this.#db = db;
    this.#pairs = pairs;
    this.#now = now;
  }

  /**
   * Also for an expired token. The same object for each request: it may be modified. @throws MatrixError 401
   * M_UNKNOWN_TOKEN
   *
   * @throws MatrixError 401 M_UNKNOWN_TOKEN
   */
  async of(accessToken: string): Promise<TokenHolder> {
    const hash = hashSecret(accessToken);
    const known = this.#cache.get(hash);
    if (known) return known;
    return accessToken.startsWith(ACCESS_TOKEN_PREFIX) ? this.#own(hash) : this.#oauth(hash);
  }

  /** To be called after the data of a user's tokens was changed. */
  forget(localpart: string): void {
    this.#cache.forget(localpart);
  }

  async #own(hash: Buffer): Promise<TokenHolder> {
    const { generation } = this.#cache;
    const [row] = await this.#db.query<OwnHolder>(
      `SELECT t.localpart, t.device_id, t.expires_at, t.access_hash, t.previous, t.used,
         t.refresh_hash IS NOT NULL AS refreshable, ${HOLDER}
       FROM tokens t ${OF_HOLDER} WHERE t.access_hash = $1`,
      [hash],
    );
    if (!row) throw unknownToken(false);
    if (row.used) this.#cache.put(hash, row, generation);
    // An expired one was not used now, whatever it says.
    else if (row.expires_at === null || row.expires_at > this.#now()) {
      await this.#pairs.firstUse({ accessHash: row.access_hash, replaces: row.previous });
      this.#cache.forget(row.localpart);
    }
    return row;
  }

  /**
   * A token of the OAuth 2.0 API. Expired ones are kept for a while, so that clients refresh instead of logging in
   * again.
   */
  async #oauth(hash: Buffer): Promise<TokenHolder> {
    const { generation } = this.#cache;
    const [row] = await this.#db.query<TokenHolder>(
      `SELECT i.localpart, i.device_id, i.expires_at, true AS refreshable, ${HOLDER}
       FROM oauth_items i ${OF_HOLDER} WHERE i.model = 'AccessToken' AND i.id = $1`,
      [hash],
    );
    if (!row) throw unknownToken(false);
    this.#cache.put(hash, row, generation);
    return row;
  }
}
