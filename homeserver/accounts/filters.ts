/** Stored filters, which clients reference by id in `/sync`; read and written by statements. */
import type { Database } from '../database/database.ts';
import { tooMuchKept } from '../base/errors.ts';
import { FILTERS_BYTES } from '../base/limits.ts';
import type { Accounts } from './accounts.ts';

export class Filters {
  readonly #db: Database;
  readonly #accounts: Accounts;

  constructor(db: Database, accounts: Accounts) {
    this.#db = db;
    this.#accounts = accounts;
  }

  /**
   * Stores a filter for `/sync`.
   *
   * @returns its id; the same for the same filter
   * @throws MatrixError 403 when the user has stored too many
   */
  async add(userId: string, json: string): Promise<string> {
    const localpart = this.#accounts.localpart(userId) ?? '';
    return this.#db.transaction(async (tx) => {
      await this.#db.query('SELECT 1 FROM users WHERE localpart = $1 FOR UPDATE', [localpart], tx);
      const [kept] = await this.#db.query<{ bytes: number }>(
        `SELECT coalesce(sum(octet_length(json)), 0)::bigint AS bytes FROM filters WHERE localpart = $1 AND json <> $2`,
        [localpart, json],
        tx,
      );
      if ((kept?.bytes ?? 0) + Buffer.byteLength(json) > FILTERS_BYTES) {
        throw tooMuchKept('You have stored too many filters.');
      }
      const [row] = await this.#db.query<{ filter_id: number }>(
        `INSERT INTO filters (localpart, json) VALUES ($1, $2)
         ON CONFLICT (localpart, json) DO UPDATE SET json = excluded.json RETURNING filter_id`,
        [localpart, json],
        tx,
      );
      return String(row?.filter_id);
    });
  }

  /** The JSON text of a filter. */
  async get(userId: string, filterId: string): Promise<string | undefined> {
    if (!/^[0-9]{1,15}$/.test(filterId)) return undefined;
    const [row] = await this.#db.query<{ json: string }>(
      'SELECT json FROM filters WHERE localpart = $1 AND filter_id = $2',
      [this.#accounts.localpart(userId) ?? '', filterId],
    );
    return row?.json;
  }
}
