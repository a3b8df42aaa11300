/** Sessions: devices and their tokens. */
import type { ModelStatic, Transaction } from 'sequelize';
import type { Database } from '../database/database.ts';
import { queryIn } from '../database/models.ts';
import { MatrixError, tooMuchKept } from '../base/errors.ts';
import { DEVICES, GUEST_DEVICES } from '../base/limits.ts';
import type { Requester } from '../base/requester.ts';
import type { Accounts } from './accounts.ts';
import { randomBase32 } from './secrets.ts';
import { deviceModel } from './tables.ts';
import type { DeviceRow } from './tables.ts';
import type { DeviceKey } from './upstream/store.ts';
import { TokenHolders } from './token-holders.ts';
import { TokenPairs, unknownToken } from './token-pairs.ts';
import type { Tokens } from './token-pairs.ts';

/** Where a request came from, as shown in the device list. */
export interface Origin {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
}

export interface NewSession {
  /** An existing device to log in with again; its old tokens end. */
  readonly deviceId?: string | undefined;
  /** Display name of the device. */
  readonly displayName?: string | undefined;
  /** Whether the client can refresh; otherwise the access token is valid until log-out. */
  readonly refreshable?: boolean | undefined;
  /** Notes what belongs to the device, in the transaction that makes it. */
  readonly within?: (device: DeviceKey, transaction: Transaction) => Promise<void>;
}

export interface Device {
  readonly deviceId: string;
  readonly displayName: string | undefined;
  /** Unix time in ms, with a precision of some minutes. */
  readonly lastSeenAt: number;
  readonly lastSeenIp: string | undefined;
  readonly userAgent: string | undefined;
}

/** Called before the request that changed a device is answered. Its exceptions become the response. */
export type DeviceListener = (
  userId: string,
  deviceId: string,
  change: 'new' | 'renamed' | 'deleted',
) => void | Promise<void>;

/** Guests cannot refresh; their session ends after this time, in ms. */
const GUEST_LIFE_MS = 24 * 60 * 60 * 1000;
const DEVICE_ID_LENGTH = 12;
/** Precision of "last seen", in ms: not worth a write for every request. */
const SEEN_STEP_MS = 5 * 60 * 1000;

/** Devices with two IP addresses alternate between them. */
const MOVED_STEP_MS = 30 * 1000;
const MAX_USER_AGENT = 500;

export type EndListener = (userId: string, deviceId: string) => void;

export class Sessions {
  readonly #db: Database;
  readonly #accounts: Accounts;
  readonly #now: () => number;
  readonly #devices: ModelStatic<DeviceRow>;
  readonly #pairs: TokenPairs;
  readonly #holders: TokenHolders;
  readonly #listeners = new Set<EndListener>();
  readonly #deviceListeners = new Set<DeviceListener>();

  /**
   * @param now the clock, Unix ms
   * @param accessLifeMs life of an access token that can be refreshed, in ms
   */
  constructor(db: Database, accounts: Accounts, now: () => number = Date.now, accessLifeMs?: number) {
    this.#db = db;
    this.#accounts = accounts;
    this.#now = now;
    this.#devices = deviceModel(db);
    this.#pairs = new TokenPairs(db, now, accessLifeMs);
    this.#holders = new TokenHolders(db, this.#pairs, now);
    accounts.onChange((userId) => this.forget(userId));
  }

  /** To be called after a user's tokens were changed elsewhere. */
  forget(userId: string): void {
    this.#holders.forget(this.#localpart(userId));
  }

  /**
   * @param evenLocked whether locked users are allowed
   * @throws MatrixError 401 M_UNKNOWN_TOKEN; with `soft_logout` when the token only expired; 401 M_USER_LOCKED
   */
  async authenticate(accessToken: string, origin: Origin = {}, evenLocked = false): Promise<Requester> {
    const row = await this.#holders.of(accessToken);
    const now = this.#now();
    if (row.expires_at !== null && row.expires_at <= now) throw unknownToken(row.refreshable);
    if (row.locked && !evenLocked) {
      throw new MatrixError(401, 'M_USER_LOCKED', 'Your account is locked. Contact your administrator.', {
        soft_logout: true,
      });
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
   * Creates a device for a token that is stored elsewhere, unless it exists.
   *
   * @throws MatrixError 403 when the user has too many devices, or is a service user
   */
  async attach(userId: string, deviceId: string, displayName: string | undefined): Promise<void> {
    this.#accounts.requirePerson(userId);
    const localpart = this.#localpart(userId);
    const isNew = await this.#db.models.transaction((transaction) =>
      this.#take({ localpart, deviceId, displayName, most: DEVICES }, transaction),
    );
    if (isNew) await this.#deviceChanged(userId, deviceId, 'new');
  }

  /**
   * Logs a local user in. @throws MatrixError 403 when the user has too many devices, or is a service user
   *
   * @throws MatrixError 403 when the user has too many devices, or belongs to the server itself
   */
  async create(userId: string, options: NewSession = {}): Promise<Tokens & { deviceId: string }> {
    this.#accounts.requirePerson(userId);
    const localpart = this.#localpart(userId);
    const guest = await this.#accounts.isGuest(userId);
    const deviceId = options.deviceId ?? randomBase32(DEVICE_ID_LENGTH).toUpperCase();
    const { displayName, refreshable = false } = options;
    const { isNew, tokens } = await this.#db.models.transaction(async (transaction) => {
      const most = guest ? GUEST_DEVICES : DEVICES;
      const made = await this.#take({ localpart, deviceId, displayName, most }, transaction);
      if (!made) await this.#pairs.endOf(localpart, deviceId, transaction);
      await options.within?.({ localpart, deviceId }, transaction);
      const lifeMs = guest ? GUEST_LIFE_MS : refreshable ? this.#pairs.accessLifeMs : undefined;
      const pair = { localpart, deviceId, lifeMs, refreshable: !guest && refreshable };
      return { isNew: made, tokens: await this.#pairs.issue(pair, transaction) };
    });
    this.forget(userId);
    if (isNew) await this.#deviceChanged(userId, deviceId, 'new');
    // The tokens of before have ended, and with them what goes on at the device.
    else for (const listener of this.#listeners) listener(userId, deviceId);
    return { ...tokens, deviceId };
  }

  /**
   * Logs a service in, on a device that it may have already: what goes on there stays, and its token of before is good
   * until it expires. There is no refresh token.
   *
   * @throws MatrixError 403 when there are too many devices, or the user is a service user of the server
   */
  async renew(
    userId: string,
    options: { readonly deviceId: string; readonly displayName: string | undefined; readonly lifeMs: number },
  ): Promise<Tokens & { deviceId: string }> {
    this.#accounts.requirePerson(userId);
    const localpart = this.#localpart(userId);
    const { deviceId, displayName, lifeMs } = options;
    const { isNew, tokens } = await this.#db.models.transaction(async (transaction) => {
      const made = await this.#take({ localpart, deviceId, displayName, most: DEVICES }, transaction);
      await this.#pairs.endExpired(localpart, deviceId, transaction);
      const pair = { localpart, deviceId, lifeMs, refreshable: false };
      return { isNew: made, tokens: await this.#pairs.issue(pair, transaction) };
    });
    if (isNew) await this.#deviceChanged(userId, deviceId, 'new');
    return { ...tokens, deviceId };
  }

  /** Ends devices whose tokens have all expired and cannot be refreshed, but for those of guests. */
  async endExpired(): Promise<void> {
    const rows = await this.#db.query<{ localpart: string; device_id: string }>(
      `SELECT DISTINCT t.localpart, t.device_id FROM tokens t JOIN users u USING (localpart)
       WHERE t.refresh_hash IS NULL AND t.expires_at <= $1 AND NOT u.guest`,
      [this.#now()],
    );
    for (const { localpart, device_id: deviceId } of rows) {
      const ended = await this.#db.models.transaction(async (transaction) => {
        const key = [localpart, deviceId];
        // Who logs in on it meanwhile has to wait, and then makes it anew.
        const lock = 'SELECT FROM devices WHERE localpart = $1 AND device_id = $2 FOR UPDATE';
        await queryIn(transaction, this.#db, lock, key);
        return await queryIn<{ device_id: string }>(
          transaction,
          this.#db,
          `DELETE FROM devices d WHERE localpart = $1 AND device_id = $2 AND NOT EXISTS (
             SELECT FROM tokens t WHERE t.localpart = d.localpart AND t.device_id = d.device_id
               AND (t.refresh_hash IS NOT NULL OR t.expires_at IS NULL OR t.expires_at > $3)
           ) RETURNING device_id`,
          [...key, this.#now()],
        );
      });
      await this.#delete(this.#accounts.userId(localpart), ended);
    }
  }

  /**
   * Exchanges a refresh token for a new pair. The old pair stays valid until the new one is used, because the response
   * may be lost. When a pair is exchanged twice, the pair of the first exchange ends.
   *
   * @throws MatrixError 401 M_UNKNOWN_TOKEN
   * @see Matrix specification, client-server API, "Refreshing access tokens"
   */
  async refresh(refreshToken: string): Promise<Tokens> {
    const { localpart, tokens } = await this.#pairs.refresh(refreshToken);
    this.#holders.forget(localpart);
    return tokens;
  }

  /**
   * Logs a device out.
   *
   * @param within what else ends with it, in the same transaction
   */
  async end(userId: string, deviceId: string, within?: (transaction: Transaction) => Promise<void>): Promise<void> {
    const device = [this.#localpart(userId), deviceId];
    const deletion = 'DELETE FROM devices WHERE localpart = $1 AND device_id = $2 RETURNING device_id';
    const rows = await (within
      ? this.#db.models.transaction(async (transaction) => {
          await within(transaction);
          return queryIn(transaction, this.#db, deletion, device);
        })
      : this.#db.query(deletion, device));
    await this.#delete(userId, rows);
  }

  /** Logs all devices of a user out, except for one. */
  async endAll(userId: string, except?: string): Promise<void> {
    await this.#delete(
      userId,
      await this.#db.query(
        'DELETE FROM devices WHERE localpart = $1 AND device_id IS DISTINCT FROM $2 RETURNING device_id',
        [this.#localpart(userId), except ?? null],
      ),
    );
  }

  /** Interrupts what runs on all devices of a user, who stays logged in. */
  async interrupt(userId: string): Promise<void> {
    for (const { deviceId } of await this.devices(userId)) {
      for (const listener of this.#listeners) listener(userId, deviceId);
    }
  }

  /** Renames a device. @returns whether it exists @returns whether there is such a device */
  async rename(userId: string, deviceId: string, displayName: string): Promise<boolean> {
    const where = { localpart: this.#localpart(userId), deviceId };
    const [renamed] = await this.#devices.update({ displayName }, { where });
    if (renamed > 0) await this.#deviceChanged(userId, deviceId, 'renamed');
    return renamed > 0;
  }

  async devices(userId: string): Promise<Device[]> {
    const rows = await this.#devices.findAll({
      where: { localpart: this.#localpart(userId) },
      order: ['createdAt', 'deviceId'],
    });
    return rows.map((row) => ({
      deviceId: row.deviceId,
      displayName: row.displayName ?? undefined,
      lastSeenAt: row.lastSeenAt,
      lastSeenIp: row.lastSeenIp ?? undefined,
      userAgent: row.userAgent ?? undefined,
    }));
  }

  /** Listens for devices that are created, renamed or deleted. @returns a function that removes the listener */
  onDeviceChange(listener: DeviceListener): () => void {
    this.#deviceListeners.add(listener);
    return () => this.#deviceListeners.delete(listener);
  }

  /** Listens for devices that were logged out or interrupted. @returns a function that removes the listener */
  onEnd(listener: EndListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Creates a device, or marks an existing one as used again.
   *
   * @param device `most` is how many devices its user may have
   * @returns whether it is new
   * @throws MatrixError 403 when there are too many, which rolls the transaction back
   */
  async #take(
    device: { localpart: string; deviceId: string; displayName: string | undefined; most: number },
    transaction: Transaction,
  ): Promise<boolean> {
    const { localpart, deviceId, displayName, most } = device;
    const [taken] = await queryIn<{ is_new: boolean }>(
      transaction,
      this.#db,
      `INSERT INTO devices (localpart, device_id, display_name, created_at, last_seen_at) VALUES ($1, $2, $3, $4, $4)
       ON CONFLICT (localpart, device_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
       RETURNING xmax = 0 AS is_new`,
      [localpart, deviceId, displayName ?? null, this.#now()],
    );
    const isNew = taken?.is_new ?? false;
    if (isNew && (await this.#devices.count({ where: { localpart }, transaction })) > most) {
      throw tooMuchKept('You have too many devices. Log some of them out first.');
    }
    return isNew;
  }

  #localpart(userId: string): string {
    const localpart = this.#accounts.localpart(userId);
    if (localpart === undefined) throw new TypeError('Sessions are only for local users.');
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
