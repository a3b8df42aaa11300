/** Sessions: the devices that people are logged in with and the tokens of these. */
import type { Database, Tx } from '../database/database.ts';
import { MatrixError, tooMuchKept } from '../base/errors.ts';
import { DEVICES, GUEST_DEVICES } from '../base/limits.ts';
import type { Requester } from '../base/requester.ts';
import type { Accounts } from './accounts.ts';
import { hashSecret, newSecret, randomBase32 } from './secrets.ts';
import { TokenCache } from './token-cache.ts';

/** Where a request came from, as people see it in the list of their devices. */
export interface Origin {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
}

export interface NewSession {
  /** Logs in again with a device that is known already; its old tokens end. */
  readonly deviceId?: string | undefined;
  /** Name of the device. */
  readonly displayName?: string | undefined;
  /** Whether the client can refresh; without it the access token lives until log-out. */
  readonly refreshable?: boolean | undefined;
}

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken?: string;
  readonly expiresInMs?: number;
}

export interface Device {
  readonly deviceId: string;
  readonly displayName: string | undefined;
  /** Unix ms, not more exact than some minutes. */
  readonly lastSeenAt: number;
  readonly lastSeenIp: string | undefined;
  readonly userAgent: string | undefined;
}

/** Told before the request that changed a device is answered. What it throws is the asker's answer. */
export type DeviceListener = (
  userId: string,
  deviceId: string,
  change: 'new' | 'renamed' | 'deleted',
) => void | Promise<void>;

interface TokenRow {
  access_hash: Buffer;
  refresh_hash: Buffer | null;
  localpart: string;
  device_id: string;
  expires_at: number | null;
  previous: Buffer | null;
  used: boolean;
}
interface DeviceRow {
  device_id: string;
  display_name: string | null;
  last_seen_at: number;
  last_seen_ip: string | null;
  user_agent: string | null;
}
interface RequesterRow {
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

export const ACCESS_TOKEN_PREFIX = 'hst_';
const REFRESH_TOKEN_PREFIX = 'hsr_';
/** Life of an access token that can be refreshed, in ms. */
const ACCESS_LIFE_MS = 60 * 60 * 1000;
/** Guests can not refresh; their session ends after this time, in ms. */
const GUEST_LIFE_MS = 24 * 60 * 60 * 1000;
const DEVICE_ID_LENGTH = 12;
/** How exact "last seen" is, in ms: it is not worth a write for every request. */
const SEEN_STEP_MS = 5 * 60 * 1000;

/** Devices with two addresses use both at once. */
const MOVED_STEP_MS = 30 * 1000;
const MAX_USER_AGENT = 500;
const CACHED_TOKENS = 20_000;

export type EndListener = (userId: string, deviceId: string) => void;

export class Sessions {
  readonly #db: Database;
  readonly #accounts: Accounts;
  readonly #now: () => number;
  readonly #cache = new TokenCache<RequesterRow>(CACHED_TOKENS);
  readonly #listeners = new Set<EndListener>();
  readonly #deviceListeners = new Set<DeviceListener>();

  /** @param now the clock, Unix ms */
  constructor(db: Database, accounts: Accounts, now: () => number = Date.now) {
    this.#db = db;
    this.#accounts = accounts;
    this.#now = now;
    accounts.onChange((userId) => this.forget(userId));
  }

  /** To be called after somebody's tokens were changed elsewhere. */
  forget(userId: string): void {
    this.#cache.forget(this.#localpart(userId));
  }

  /**
   * @param evenLocked whether people pass whose account is locked
   * @throws MatrixError 401 M_UNKNOWN_TOKEN; with `soft_logout` when the token has only expired; 401 M_USER_LOCKED
   */
  async authenticate(accessToken: string, origin: Origin = {}, evenLocked = false): Promise<Requester> {
    const hash = hashSecret(accessToken);
    const now = this.#now();
    const known = this.#cache.get(hash);
    const isOwn = accessToken.startsWith(ACCESS_TOKEN_PREFIX);
    const row = known ?? (isOwn ? await this.#own(hash) : await this.#oauth(hash));
    if (row.expires_at !== null && row.expires_at <= now) throw unknownToken(row.refreshable);
    if (row.locked && !evenLocked) {
      throw new MatrixError(401, 'M_USER_LOCKED', 'Your account is locked.', { soft_logout: true });
    }
    const age = now - row.last_seen_at;
    const moved = origin.ip !== undefined && origin.ip !== row.last_seen_ip;
    if (age > SEEN_STEP_MS || (moved && (age > MOVED_STEP_MS || row.last_seen_ip === null))) {
      await this.#db.query(
        `UPDATE devices SET last_seen_at = $3, last_seen_ip = COALESCE($4, last_seen_ip),
         user_agent = COALESCE($5, user_agent) WHERE localpart = $1 AND device_id = $2`,
        [row.localpart, row.device_id, now, origin.ip ?? null, origin.userAgent?.slice(0, MAX_USER_AGENT) ?? null],
      );
      row.last_seen_at = now;
      row.last_seen_ip = origin.ip ?? row.last_seen_ip;
    }
    return {
      userId: this.#accounts.userId(row.localpart),
      deviceId: row.device_id,
      guest: row.guest,
      admin: row.admin,
      suspended: row.suspended,
      displayName: row.display_name ?? row.localpart,
    };
  }

  /**
   * Makes a device for a token that is kept elsewhere, unless it is there already.
   *
   * @throws MatrixError 403 when the user has too many
   */
  async attach(userId: string, deviceId: string, displayName: string | undefined): Promise<void> {
    const localpart = this.#localpart(userId);
    const device = await this.#db.transaction(async (tx) => {
      const [made] = await this.#db.query(
        `INSERT INTO devices (localpart, device_id, display_name, created_at, last_seen_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT DO NOTHING RETURNING device_id`,
        [localpart, deviceId, displayName ?? null, this.#now()],
        tx,
      );
      if (made) await this.#requireRoom(tx, localpart, DEVICES);
      return made;
    });
    if (device) await this.#deviceChanged(userId, deviceId, 'new');
  }

  /** Logs a local user in. @throws MatrixError 403 when the user has too many devices */
  async create(userId: string, options: NewSession = {}): Promise<Tokens & { deviceId: string }> {
    const localpart = this.#localpart(userId);
    const guest = await this.#accounts.isGuest(userId);
    const deviceId = options.deviceId ?? randomBase32(DEVICE_ID_LENGTH).toUpperCase();
    const now = this.#now();
    let isNew = false;
    const tokens = await this.#db.transaction(async (tx) => {
      const [device] = await this.#db.query<{ is_new: boolean }>(
        `INSERT INTO devices (localpart, device_id, display_name, created_at, last_seen_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (localpart, device_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
         RETURNING xmax = 0 AS is_new`,
        [localpart, deviceId, options.displayName ?? null, now],
        tx,
      );
      isNew = device?.is_new ?? false;
      if (isNew) await this.#requireRoom(tx, localpart, guest ? GUEST_DEVICES : DEVICES);
      for (const table of ['tokens', 'oauth_items']) {
        await this.#db.query(`DELETE FROM ${table} WHERE localpart = $1 AND device_id = $2`, [localpart, deviceId], tx);
      }
      const lifeMs = guest ? GUEST_LIFE_MS : options.refreshable ? ACCESS_LIFE_MS : undefined;
      return this.#issue({ localpart, deviceId, lifeMs, refreshable: !guest && options.refreshable === true }, tx);
    });
    this.forget(userId);
    if (isNew) await this.#deviceChanged(userId, deviceId, 'new');
    // The tokens of before have ended, and with them what goes on at the device.
    else for (const listener of this.#listeners) listener(userId, deviceId);
    return { ...tokens, deviceId };
  }

  /**
   * Exchanges a refresh token for a new pair. The old pair stays good until the new one is used, because the answer
   * may not arrive. When a pair was exchanged twice, the pair of the first exchange ends.
   *
   * @throws MatrixError 401 M_UNKNOWN_TOKEN
   * @see Matrix specification, client-server API, "Refreshing access tokens"
   */
  async refresh(refreshToken: string): Promise<Tokens> {
    const hash = hashSecret(refreshToken);
    const { owner, tokens } = await this.#db.transaction(async (tx) => {
      const [row] = await this.#db.query<TokenRow>(
        'SELECT * FROM tokens WHERE refresh_hash = $1 FOR UPDATE',
        [hash],
        tx,
      );
      if (!row) throw unknownToken(false);
      await this.#db.query('DELETE FROM tokens WHERE previous = $1', [row.access_hash], tx);
      // To refresh a pair shows that it has arrived.
      await this.#firstUse(row, tx);
      const { localpart, device_id: deviceId, access_hash: previous } = row;
      const issued = await this.#issue(
        { localpart, deviceId, lifeMs: ACCESS_LIFE_MS, refreshable: true, previous },
        tx,
      );
      return { owner: localpart, tokens: issued };
    });
    this.#cache.forget(owner);
    return tokens;
  }

  /** Logs a device out. */
  async end(userId: string, deviceId: string): Promise<void> {
    await this.#delete(
      userId,
      await this.#db.query('DELETE FROM devices WHERE localpart = $1 AND device_id = $2 RETURNING device_id', [
        this.#localpart(userId),
        deviceId,
      ]),
    );
  }

  /** Logs all devices of a user out, but for one that is to stay. */
  async endAll(userId: string, except?: string): Promise<void> {
    await this.#delete(
      userId,
      await this.#db.query(
        'DELETE FROM devices WHERE localpart = $1 AND device_id IS DISTINCT FROM $2 RETURNING device_id',
        [this.#localpart(userId), except ?? null],
      ),
    );
  }

  /** Ends what goes on at all devices of a user, who stays logged in. */
  async interrupt(userId: string): Promise<void> {
    for (const { deviceId } of await this.devices(userId)) {
      for (const listener of this.#listeners) listener(userId, deviceId);
    }
  }

  /** Gives a device another name. @returns whether there is such a device */
  async rename(userId: string, deviceId: string, displayName: string): Promise<boolean> {
    const [row] = await this.#db.query(
      'UPDATE devices SET display_name = $3 WHERE localpart = $1 AND device_id = $2 RETURNING device_id',
      [this.#localpart(userId), deviceId, displayName],
    );
    if (row) await this.#deviceChanged(userId, deviceId, 'renamed');
    return row !== undefined;
  }

  async devices(userId: string): Promise<Device[]> {
    const rows = await this.#db.query<DeviceRow>(
      `SELECT device_id, display_name, last_seen_at, last_seen_ip, user_agent FROM devices
       WHERE localpart = $1 ORDER BY created_at, device_id`,
      [this.#localpart(userId)],
    );
    return rows.map((row) => ({
      deviceId: row.device_id,
      displayName: row.display_name ?? undefined,
      lastSeenAt: row.last_seen_at,
      lastSeenIp: row.last_seen_ip ?? undefined,
      userAgent: row.user_agent ?? undefined,
    }));
  }

  /** Tells of devices that come, get another name or go. Answers a function that ends the telling. */
  onDeviceChange(listener: DeviceListener): () => void {
    this.#deviceListeners.add(listener);
    return () => this.#deviceListeners.delete(listener);
  }

  /** Tells of devices that were logged out or interrupted. Answers a function that ends the telling. */
  onEnd(listener: EndListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws MatrixError 403, which takes back the device that was made in the transaction */
  async #requireRoom(tx: Tx, localpart: string, most: number): Promise<void> {
    const [kept] = await this.#db.query<{ count: number }>(
      'SELECT count(*) AS count FROM devices WHERE localpart = $1',
      [localpart],
      tx,
    );
    if ((kept?.count ?? 0) > most) throw tooMuchKept('You have too many devices. Log some of them out first.');
  }

  async #own(hash: Buffer): Promise<RequesterRow> {
    const { generation } = this.#cache;
    const [row] = await this.#db.query<RequesterRow & TokenRow>(
      `SELECT t.*, t.refresh_hash IS NOT NULL AS refreshable, u.guest, u.admin, u.locked, u.suspended,
       u.display_name, d.last_seen_at, d.last_seen_ip FROM tokens t
       JOIN users u USING (localpart) JOIN devices d USING (localpart, device_id) WHERE t.access_hash = $1`,
      [hash],
    );
    if (!row) throw unknownToken(false);
    if (row.used) this.#cache.put(hash, row, generation);
    // An expired one was not used now, whatever it says.
    else if (row.expires_at === null || row.expires_at > this.#now()) {
      await this.#firstUse(row);
      this.#cache.forget(row.localpart);
    }
    return row;
  }

  /** A token of the OAuth 2.0 API. Expired ones stay for a while, so that clients refresh and do not log in anew. */
  async #oauth(hash: Buffer): Promise<RequesterRow> {
    const { generation } = this.#cache;
    const [row] = await this.#db.query<RequesterRow>(
      `SELECT i.localpart, i.device_id, i.expires_at, true AS refreshable, u.guest, u.admin, u.locked,
       u.suspended, u.display_name, d.last_seen_at, d.last_seen_ip FROM oauth_items i JOIN users u USING (localpart) JOIN devices d USING (localpart, device_id)
       WHERE i.model = 'AccessToken' AND i.id = $1`,
      [hash],
    );
    if (!row) throw unknownToken(false);
    this.#cache.put(hash, row, generation);
    return row;
  }

  async #issue(
    options: {
      localpart: string;
      deviceId: string;
      lifeMs?: number | undefined;
      refreshable: boolean;
      previous?: Buffer;
    },
    tx: Tx,
  ): Promise<Tokens> {
    const { localpart, deviceId, lifeMs, refreshable, previous } = options;
    const accessToken = newSecret(ACCESS_TOKEN_PREFIX);
    const refreshToken = refreshable ? newSecret(REFRESH_TOKEN_PREFIX) : undefined;
    const now = this.#now();
    await this.#db.query(
      `INSERT INTO tokens (access_hash, refresh_hash, localpart, device_id, expires_at, previous, used, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, false, $7)`,
      [
        hashSecret(accessToken),
        refreshToken === undefined ? null : hashSecret(refreshToken),
        localpart,
        deviceId,
        lifeMs === undefined ? null : now + lifeMs,
        previous ?? null,
        now,
      ],
      tx,
    );
    return {
      accessToken,
      ...(refreshToken === undefined ? {} : { refreshToken }),
      ...(lifeMs === undefined ? {} : { expiresInMs: lifeMs }),
    };
  }

  /** Ends the pair that this one replaced. */
  async #firstUse(row: TokenRow, tx?: Tx): Promise<void> {
    if (row.previous !== null) await this.#db.query('DELETE FROM tokens WHERE access_hash = $1', [row.previous], tx);
    await this.#db.query(
      'UPDATE tokens SET used = true, previous = NULL WHERE access_hash = $1',
      [row.access_hash],
      tx,
    );
  }

  #localpart(userId: string): string {
    const localpart = this.#accounts.localpart(userId);
    if (localpart === undefined) throw new TypeError('Sessions are only for users of this server.');
    return localpart;
  }

  async #delete(userId: string, rows: readonly { device_id?: unknown }[]): Promise<void> {
    this.forget(userId);
    for (const { device_id: deviceId } of rows) {
      if (typeof deviceId !== 'string') continue;
      for (const listener of this.#listeners) listener(userId, deviceId);
      await this.#deviceChanged(userId, deviceId, 'deleted');
    }
  }

  async #deviceChanged(userId: string, deviceId: string, change: Parameters<DeviceListener>[2]): Promise<void> {
    for (const listener of this.#deviceListeners) await listener(userId, deviceId, change);
  }
}

function unknownToken(softLogout: boolean): MatrixError {
  return new MatrixError(401, 'M_UNKNOWN_TOKEN', 'You are not logged in any more.', { soft_logout: softLogout });
}
