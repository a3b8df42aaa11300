/** People of this homeserver: who they are at the identity provider, those with a password, and guests. */
import { displayName as shownName } from '../../protocol/display-text.ts';
import type { Database } from '../database/database.ts';
import { MatrixError, tooMuchKept } from '../base/errors.ts';
import { FILTERS_BYTES } from '../base/limits.ts';
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

export interface Account {
  readonly userId: string;
  readonly guest: boolean;
  readonly admin: boolean;
  readonly deactivated: boolean;
  /** Can do nothing but log out. */
  readonly locked: boolean;
  /** Can read, but not write. */
  readonly suspended: boolean;
  /** What `Passwords` made of the password. */
  readonly passwordHash: string | undefined;
  /** Whether the person is known to the identity provider. */
  readonly external: boolean;
}

export interface NewAccount {
  readonly localpart: string;
  readonly passwordHash: string;
  readonly admin?: boolean | undefined;
  readonly displayName?: string | undefined;
}

/** What administrators can do to an account for a time. */
export type Restriction = 'locked' | 'suspended';

interface UserRow {
  localpart: string;
  display_name: string | null;
  guest: boolean;
  admin: boolean;
  deactivated_at: number | null;
  locked: boolean;
  suspended: boolean;
  password: string | null;
  subject: string | null;
}

export const MAX_DISPLAY_NAME = 256;
const GUEST_ID_LENGTH = 10;
const ATTEMPTS = 8;

export class Accounts {
  readonly #db: Database;
  readonly #serverName: string;
  readonly #listeners = new Set<(userId: string) => void>();

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

  /** Whether somebody has an account here that has not ended. */
  async exists(userId: string): Promise<boolean> {
    return (await this.#find(userId))?.deactivated_at === null;
  }

  /** An account of this server, ended ones too. */
  async find(userId: string): Promise<Account | undefined> {
    const row = await this.#find(userId);
    return (
      row && {
        userId: this.userId(row.localpart),
        guest: row.guest,
        admin: row.admin,
        deactivated: row.deactivated_at !== null,
        locked: row.locked,
        suspended: row.suspended,
        passwordHash: row.password ?? undefined,
        external: row.subject !== null,
      }
    );
  }

  /** @throws MatrixError 400 M_USER_IN_USE when somebody has the name, or had it */
  async requireFree(localpart: string): Promise<void> {
    if ((await this.#find(this.userId(localpart))) !== undefined) throw inUse();
  }

  /**
   * Makes the account of somebody with a password. The name of the profile is the local part when none is given.
   *
   * @returns the user id
   * @throws MatrixError 400 M_USER_IN_USE
   */
  async register({ localpart, passwordHash, admin = false, displayName }: NewAccount): Promise<string> {
    const [row] = await this.#db.query<UserRow>(
      `INSERT INTO users (localpart, display_name, guest, password, admin, created_at)
       VALUES ($1, $2, false, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING localpart`,
      [localpart, checkedName(displayName ?? '') ?? localpart, passwordHash, admin, Date.now()],
    );
    if (!row) throw inUse();
    return this.userId(localpart);
  }

  /**
   * Makes a guest somebody with an account of the same name.
   *
   * @throws MatrixError 400 M_USER_IN_USE for who is no guest
   */
  async promote(userId: string, passwordHash: string): Promise<void> {
    const [row] = await this.#db.query(
      `UPDATE users SET guest = false, password = $2
       WHERE localpart = $1 AND guest AND deactivated_at IS NULL RETURNING localpart`,
      [this.localpart(userId) ?? '', passwordHash],
    );
    if (!row) throw inUse();
    this.#changed(userId);
  }

  /** Makes an account that belongs to the server itself, and that nobody can log in to; once. */
  async makeOwn(localpart: string, displayName: string): Promise<void> {
    await this.#db.query(
      `INSERT INTO users (localpart, display_name, guest, created_at) VALUES ($1, $2, false, $3)
       ON CONFLICT DO NOTHING`,
      [localpart, displayName, Date.now()],
    );
  }

  /** Makes somebody an administrator, or no longer one. */
  async setAdmin(userId: string, admin: boolean): Promise<void> {
    await this.#db.query('UPDATE users SET admin = $2 WHERE localpart = $1', [this.localpart(userId) ?? '', admin]);
    this.#changed(userId);
  }

  /** Locks or suspends somebody, or ends that. */
  async restrict(userId: string, restriction: Restriction, on: boolean): Promise<void> {
    await this.#db.query(`UPDATE users SET ${restriction} = $2 WHERE localpart = $1`, [
      this.localpart(userId) ?? '',
      on,
    ]);
    this.#changed(userId);
  }

  async setPassword(userId: string, passwordHash: string): Promise<void> {
    await this.#db.query('UPDATE users SET password = $2 WHERE localpart = $1', [
      this.localpart(userId) ?? '',
      passwordHash,
    ]);
  }

  /**
   * Ends an account for good: its profile goes, its id is never given to anybody else. The password hash stays, so that
   * only who knows the password learns that the account has ended.
   */
  async deactivate(userId: string): Promise<void> {
    const localpart = this.localpart(userId) ?? '';
    await this.#db.transaction(async (tx) => {
      await this.#db.query(
        'UPDATE users SET deactivated_at = $2, display_name = NULL WHERE localpart = $1',
        [localpart, Date.now()],
        tx,
      );
      await this.#db.query('DELETE FROM profile_fields WHERE localpart = $1', [localpart], tx);
    });
    this.#changed(userId);
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
    this.#changed(userId);
  }

  /** Takes the name out of the profile. */
  async removeDisplayName(userId: string): Promise<void> {
    await this.#db.query('UPDATE users SET display_name = NULL WHERE localpart = $1', [this.localpart(userId) ?? '']);
    this.#changed(userId);
  }

  /** Tells of accounts that have another name or other rights, or have ended. */
  onChange(listener: (userId: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Users whose account has ended and who may still be in rooms. */
  async endedInRooms(): Promise<string[]> {
    const rows = await this.#db.query<{ localpart: string }>(
      'SELECT localpart FROM users WHERE deactivated_at IS NOT NULL AND NOT out_of_rooms',
    );
    return rows.map((row) => this.userId(row.localpart));
  }

  async setOutOfRooms(userId: string): Promise<void> {
    await this.#db.query('UPDATE users SET out_of_rooms = true WHERE localpart = $1', [this.localpart(userId) ?? '']);
  }

  /**
   * The account of somebody who has just proven who they are; made at the first log-in. The id comes from the name
   * that they log in with. When another person has it already, it gets a random suffix: names may be given to a new
   * person, and the account of the old one must not be.
   *
   * @returns the user id
   * @throws MatrixError 403 M_USER_DEACTIVATED
   */
  async logIn(identity: Identity): Promise<string> {
    const known = await this.#byIdentity(identity);
    if (known !== undefined) {
      if (!(await this.exists(this.userId(known)))) throw deactivated();
      return this.userId(known);
    }
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

  /** Who it is that the identity provider describes; undefined for somebody without account, or with an ended one. */
  async known(identity: Identity): Promise<string | undefined> {
    const localpart = await this.#byIdentity(identity);
    const userId = localpart === undefined ? undefined : this.userId(localpart);
    return userId !== undefined && (await this.exists(userId)) ? userId : undefined;
  }

  /**
   * Makes the account of a guest; one without a name can choose it later.
   *
   * @returns the user id, such as `@guest-k3x7q2m5ab:hamburg.example`
   * @throws MatrixError 400 for a name that is empty, too long or made of control characters
   */
  async createGuest(displayName?: string): Promise<string> {
    const name = displayName === undefined ? undefined : checkedName(displayName);
    if (displayName !== undefined && name === undefined)
      throw new MatrixError(400, 'M_BAD_JSON', 'Please say your name.');
    const localpart = GUEST_PREFIX + randomBase32(GUEST_ID_LENGTH);
    await this.#db.query('INSERT INTO users (localpart, display_name, guest, created_at) VALUES ($1, $2, true, $3)', [
      localpart,
      name ?? null,
      Date.now(),
    ]);
    return this.userId(localpart);
  }

  /**
   * Stores a filter for `/sync`.
   *
   * @returns its id; the same for the same filter
   * @throws MatrixError 403 when the user has stored too many
   */
  async addFilter(userId: string, json: string): Promise<string> {
    const localpart = this.localpart(userId) ?? '';
    return this.#db.transaction(async (tx) => {
      await this.#db.query('SELECT 1 FROM users WHERE localpart = $1 FOR UPDATE', [localpart], tx);
      const [kept] = await this.#db.query<{ bytes: number }>(
        `SELECT coalesce(sum(octet_length(json)), 0)::bigint AS bytes FROM filters WHERE localpart = $1 AND json <> $2`,
        [localpart, json],
        tx,
      );
      if ((kept?.bytes ?? 0) + Buffer.byteLength(json) > FILTERS_BYTES) {
        throw tooMuchKept('Too many filters are stored.');
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
  async filter(userId: string, filterId: string): Promise<string | undefined> {
    if (!/^[0-9]{1,15}$/.test(filterId)) return undefined;
    const [row] = await this.#db.query<{ json: string }>(
      'SELECT json FROM filters WHERE localpart = $1 AND filter_id = $2',
      [this.localpart(userId) ?? '', filterId],
    );
    return row?.json;
  }

  #changed(userId: string): void {
    for (const listener of this.#listeners) listener(userId);
  }

  async #find(userId: string): Promise<UserRow | undefined> {
    const localpart = this.localpart(userId);
    if (localpart === undefined) return undefined;
    const [row] = await this.#db.query<UserRow>(
      `SELECT localpart, display_name, guest, admin, deactivated_at, locked, suspended, password, subject FROM users
       WHERE localpart = $1`,
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

/** Only for somebody who has proven who they are. */
export function deactivated(): MatrixError {
  return new MatrixError(403, 'M_USER_DEACTIVATED', 'This account has ended.');
}

function inUse(): MatrixError {
  return new MatrixError(400, 'M_USER_IN_USE', 'This user name is taken.');
}

/** A name as people may show it to others; undefined for one without a visible character, or that is too long. */
export function checkedName(name: string): string | undefined {
  return name.trim().length > MAX_DISPLAY_NAME || !name.isWellFormed() ? undefined : shownName(name);
}
