/** People of this homeserver: who they are at the identity provider, and guests. */
import type { Database } from '../database/database.ts';
import { MatrixError } from '../errors.ts';
import { GUEST_PREFIX, MAX_LOCALPART_BYTES, toLocalpart } from './localpart.ts';
import { randomBase32 } from './secrets.ts';

/** Somebody as the identity provider describes them. `issuer` and `subject` together never change. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  /** The name that people log in with, if known. */
  readonly preferredUsername?: string | undefined;
  readonly displayName?: string | undefined;
}

interface UserRow {
  localpart: string;
  display_name: string;
  guest: boolean;
}

export const MAX_DISPLAY_NAME = 100;
const GUEST_ID_LENGTH = 10;
const ATTEMPTS = 8;

export class Accounts {
  readonly #db: Database;
  readonly #serverName: string;

  constructor(db: Database, serverName: string) {
    this.#db = db;
    this.#serverName = serverName;
  }

  userId(localpart: string): string {
    return `@${localpart}:${this.#serverName}`;
  }

  /** The local part of a user id of this server, undefined for anybody else's. */
  localpart(userId: string): string | undefined {
    const end = `:${this.#serverName}`;
    return userId.startsWith('@') && userId.endsWith(end) ? userId.slice(1, -end.length) : undefined;
  }

  async exists(userId: string): Promise<boolean> {
    return (await this.#find(userId)) !== undefined;
  }

  async isGuest(userId: string): Promise<boolean> {
    return (await this.#find(userId))?.guest ?? false;
  }

  /** The name of a local user; for anybody else the part of the id before the colon. */
  async displayName(userId: string): Promise<string> {
    return (await this.#find(userId))?.display_name ?? userId.slice(1).replace(/:.*$/s, '');
  }

  /**
   * @throws MatrixError 404 for somebody who is not of this server
   * @throws MatrixError 400 for a name that is empty, too long or made of control characters
   */
  async setDisplayName(userId: string, name: string): Promise<void> {
    const checked = checkedName(name);
    if (checked === undefined) throw new MatrixError(400, 'M_BAD_JSON', 'This can not be a name.');
    const rows = await this.#db.query('UPDATE users SET display_name = $2 WHERE localpart = $1 RETURNING localpart', [
      this.localpart(userId) ?? '',
      checked,
    ]);
    if (rows.length === 0) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such person here.');
  }

  /**
   * The account of somebody who has just proven who they are; made at the first log-in. The id comes from the name
   * that they log in with. When another person has it already, it gets a random suffix: names may be given to a new
   * person, and the account of the old one must not be.
   *
   * @returns the user id
   */
  async logIn(identity: Identity): Promise<string> {
    const known = await this.#byIdentity(identity);
    if (known !== undefined) return this.userId(known);
    const wanted = toLocalpart(identity.preferredUsername ?? identity.subject);
    const name = checkedName((identity.displayName ?? identity.preferredUsername ?? '').slice(0, MAX_DISPLAY_NAME));
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const localpart = attempt === 0 ? wanted : `${wanted.slice(0, MAX_LOCALPART_BYTES - 6)}-${randomBase32(5)}`;
      const [row] = await this.#db.query<{ localpart: string }>(
        `INSERT INTO users (localpart, issuer, subject, display_name, guest, created_at)
         VALUES ($1, $2, $3, $4, false, $5) ON CONFLICT DO NOTHING RETURNING localpart`,
        [localpart, identity.issuer, identity.subject, name ?? wanted, Date.now()],
      );
      if (row) return this.userId(row.localpart);
      // Two log-ins of the same new person may have raced.
      const raced = await this.#byIdentity(identity);
      if (raced !== undefined) return this.userId(raced);
    }
    throw new Error('No free user id was found.');
  }

  /**
   * Makes the account of a guest.
   *
   * @returns the user id, such as `@guest-k3x7q2m5ab:hamburg.example`
   * @throws MatrixError 400 for a name that is empty, too long or made of control characters
   */
  async createGuest(displayName: string): Promise<string> {
    const name = checkedName(displayName);
    if (name === undefined) throw new MatrixError(400, 'M_BAD_JSON', 'Please say your name.');
    const localpart = GUEST_PREFIX + randomBase32(GUEST_ID_LENGTH);
    await this.#db.query('INSERT INTO users (localpart, display_name, guest, created_at) VALUES ($1, $2, true, $3)', [
      localpart,
      name,
      Date.now(),
    ]);
    return this.userId(localpart);
  }

  /**
   * Stores a filter for `/sync`.
   *
   * @returns its id; the same for the same filter
   */
  async addFilter(userId: string, json: string): Promise<string> {
    const [row] = await this.#db.query<{ filter_id: number }>(
      `INSERT INTO filters (localpart, json) VALUES ($1, $2)
       ON CONFLICT (localpart, json) DO UPDATE SET json = excluded.json RETURNING filter_id`,
      [this.localpart(userId) ?? '', json],
    );
    return String(row?.filter_id);
  }

  /** The JSON text of a filter. */
  async filter(userId: string, filterId: string): Promise<string | undefined> {
    if (!/^[0-9]{1,15}$/.test(filterId)) return undefined;
    const [row] = await this.#db.query<{ json: string }>(
      'SELECT json FROM filters WHERE localpart = $1 AND filter_id = $2',
      [this.localpart(userId) ?? '', filterId],
    );
    return row?.json;
  }

  async #find(userId: string): Promise<UserRow | undefined> {
    const localpart = this.localpart(userId);
    if (localpart === undefined) return undefined;
    const [row] = await this.#db.query<UserRow>(
      'SELECT localpart, display_name, guest FROM users WHERE localpart = $1',
      [localpart],
    );
    return row;
  }

  async #byIdentity({ issuer, subject }: Identity): Promise<string | undefined> {
    const [row] = await this.#db.query<UserRow>('SELECT localpart FROM users WHERE issuer = $1 AND subject = $2', [
      issuer,
      subject,
    ]);
    return row?.localpart;
  }
}

/** A name as people may show it to others: trimmed, one line, without characters that turn the text around it. */
function checkedName(name: string): string | undefined {
  const clean = name.replace(/[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, ' ').trim();
  return clean === '' || clean.length > MAX_DISPLAY_NAME || !clean.isWellFormed() ? undefined : clean;
}
