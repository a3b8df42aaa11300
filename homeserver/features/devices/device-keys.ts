/**
 * Device keys of local users: identity keys, one-time keys and fallback keys.
 *
 * @see Matrix specification, client-server API, "Key Distribution"
 */
import { canonicalJson, isJsonObject, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError, tooMuchKept } from '../../base/errors.ts';
import { ONE_TIME_KEYS } from '../../base/limits.ts';
import type { KeyClaim, Upload } from './schemas.ts';

/** Clients expect a count for this algorithm even if there are none. */
const USUAL_ALGORITHM = 'signed_curve25519';

interface ClaimedDevice {
  readonly userId: string;
  readonly deviceId: string;
  readonly algorithm: string;
}
interface ClaimedRow {
  user_id: string;
  device_id: string;
  algorithm: string;
  key_id: string;
  json: string;
}

/** By user and device. */
export type ByDevice<T> = Map<string, Map<string, T>>;

export class DeviceKeys {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Stores keys of a device.
   *
   * @param changed records the change of identity keys, in the same transaction
   * @returns whether the identity keys changed
   * @throws MatrixError 400 for identity keys of somebody else, or a one-time key whose id is taken by another key; 403
   *   for too many one-time keys
   */
  async upload(
    userId: string,
    deviceId: string,
    upload: Upload,
    changed: (tx: Tx) => Promise<void> = () => Promise.resolve(),
  ): Promise<boolean> {
    const { device_keys: keys, one_time_keys: oneTime } = upload;
    const fallback = upload.fallback_keys ?? upload['org.matrix.msc2732.fallback_keys'];
    if (keys && (keys.user_id !== userId || keys.device_id !== deviceId)) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'The device keys belong to another user or device.');
    }
    if (!keys && !oneTime && !fallback) return false;
    return this.#db.transaction(async (tx) => {
      if (oneTime) await this.#putOneTime(tx, userId, deviceId, oneTime as JsonObject);
      if (fallback) await this.#putFallback(tx, userId, deviceId, fallback as JsonObject);
      if (!keys || !(await this.#putIdentity(tx, userId, deviceId, keys as JsonObject))) return false;
      await changed(tx);
      return true;
    });
  }

  /** Numbers of unclaimed one-time keys, by algorithm. */
  async counts(userId: string, deviceId: string): Promise<Record<string, number>> {
    const rows = await this.#db.query<{ algorithm: string; count: number }>(
      `SELECT algorithm, count(*)::integer AS count FROM one_time_keys
       WHERE user_id = $1 AND device_id = $2 GROUP BY algorithm`,
      [userId, deviceId],
    );
    return { [USUAL_ALGORITHM]: 0, ...Object.fromEntries(rows.map((row) => [row.algorithm, row.count])) };
  }

  /** Algorithms of unused fallback keys. */
  async unusedFallback(userId: string, deviceId: string): Promise<string[]> {
    const rows = await this.#db.query<{ algorithm: string }>(
      `SELECT algorithm FROM fallback_keys WHERE user_id = $1 AND device_id = $2 AND NOT used ORDER BY algorithm`,
      [userId, deviceId],
    );
    return rows.map((row) => row.algorithm);
  }

  /** Identity keys of local users, without signatures that were added later. */
  async ofUsers(userIds: readonly string[], tx?: Tx): Promise<ByDevice<JsonObject>> {
    const rows = await this.#db.query<{ user_id: string; device_id: string; json: string }>(
      'SELECT user_id, device_id, json FROM device_keys WHERE user_id = ANY($1) ORDER BY user_id, device_id',
      [userIds],
      tx,
    );
    const found: ByDevice<JsonObject> = new Map();
    for (const row of rows) put(found, row.user_id, row.device_id, readObject(row.json));
    return found;
  }

  /**
   * Claims one key for each requested device: the oldest one-time key, which is given out only once, or else the
   * fallback key.
   *
   * @returns keys by user, device and key id; devices without keys are left out
   * @see MSC4225 for the order
   */
  async claim(wanted: KeyClaim['one_time_keys']): Promise<JsonObject> {
    const devices = Object.entries(wanted).flatMap(([userId, ofUser]) =>
      Object.entries(ofUser).map(([deviceId, algorithm]) => ({ userId, deviceId, algorithm })),
    );
    const claimed: JsonObject = {};
    const take = (rows: readonly ClaimedRow[]): void => {
      for (const row of rows) {
        const ofUser = claimed[row.user_id];
        const key = { [`${row.algorithm}:${row.key_id}`]: parseStrict(row.json) };
        claimed[row.user_id] = { ...(isJsonObject(ofUser) ? ofUser : {}), [row.device_id]: key };
      }
    };
    const oneTime = devices.length === 0 ? [] : await this.#takeOneTime(devices);
    take(oneTime);
    const served = new Set(oneTime.map((row) => `${row.user_id} ${row.device_id}`));
    const others = devices.filter(({ userId, deviceId }) => !served.has(`${userId} ${deviceId}`));
    if (others.length > 0) take(await this.#useFallback(others));
    return claimed;
  }

  /** Deletes all keys of a device. @returns whether it had identity keys @returns whether it had identity keys */
  async remove(tx: Tx, userId: string, deviceId: string): Promise<boolean> {
    for (const table of ['one_time_keys', 'fallback_keys']) {
      await this.#db.query(`DELETE FROM ${table} WHERE user_id = $1 AND device_id = $2`, [userId, deviceId], tx);
    }
    await this.#db.query(
      'DELETE FROM key_signatures WHERE target_user = $1 AND target_key = $2',
      [userId, deviceId],
      tx,
    );
    const rows = await this.#db.query(
      'DELETE FROM device_keys WHERE user_id = $1 AND device_id = $2 RETURNING device_id',
      [userId, deviceId],
      tx,
    );
    return rows.length > 0;
  }

  async #takeOneTime(devices: readonly ClaimedDevice[]): Promise<ClaimedRow[]> {
    // A concurrent claim skips the locked key and gets the next one.
    return this.#db.query<ClaimedRow>(
      `WITH chosen AS MATERIALIZED (
         SELECT wanted.user_id, wanted.device_id, wanted.algorithm, oldest.key_id
         FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (user_id, device_id, algorithm)
         CROSS JOIN LATERAL (
           SELECT key_id FROM one_time_keys k
           WHERE k.user_id = wanted.user_id AND k.device_id = wanted.device_id AND k.algorithm = wanted.algorithm
           ORDER BY k.position LIMIT 1 FOR UPDATE SKIP LOCKED) AS oldest)
       DELETE FROM one_time_keys USING chosen
       WHERE one_time_keys.user_id = chosen.user_id AND one_time_keys.device_id = chosen.device_id
         AND one_time_keys.algorithm = chosen.algorithm AND one_time_keys.key_id = chosen.key_id
       RETURNING one_time_keys.user_id, one_time_keys.device_id, one_time_keys.algorithm, one_time_keys.key_id, json`,
      claimColumns(devices),
    );
  }

  async #useFallback(devices: readonly ClaimedDevice[]): Promise<ClaimedRow[]> {
    return this.#db.query<ClaimedRow>(
      `UPDATE fallback_keys SET used = true
       FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (user_id, device_id, algorithm)
       WHERE fallback_keys.user_id = wanted.user_id AND fallback_keys.device_id = wanted.device_id
         AND fallback_keys.algorithm = wanted.algorithm
       RETURNING fallback_keys.user_id, fallback_keys.device_id, fallback_keys.algorithm, key_id, json`,
      claimColumns(devices),
    );
  }

  async #putIdentity(tx: Tx, userId: string, deviceId: string, keys: JsonObject): Promise<boolean> {
    const { unsigned: _unsigned, ...signed } = keys;
    const rows = await this.#db.query(
      `INSERT INTO device_keys (user_id, device_id, json) VALUES ($1, $2, $3)
       ON CONFLICT (user_id, device_id) DO UPDATE SET json = excluded.json WHERE device_keys.json <> excluded.json
       RETURNING device_id`,
      [userId, deviceId, canonicalJson(signed)],
      tx,
    );
    return rows.length > 0;
  }

  async #putOneTime(tx: Tx, userId: string, deviceId: string, keys: JsonObject): Promise<void> {
    const { algorithms, ids, texts } = columns(keys);
    await this.#db.query(
      `INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, json)
       SELECT $1, $2, algorithm, key_id, json
       FROM unnest($3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS new (algorithm, key_id, json, nth)
       ORDER BY nth ON CONFLICT DO NOTHING`,
      [userId, deviceId, algorithms, ids, texts],
      tx,
    );
    const [other] = await this.#db.query<{ algorithm: string; key_id: string }>(
      `SELECT algorithm, key_id FROM one_time_keys
       JOIN unnest($3::text[], $4::text[], $5::text[]) AS new (algorithm, key_id, json) USING (algorithm, key_id)
       WHERE user_id = $1 AND device_id = $2 AND one_time_keys.json <> new.json LIMIT 1`,
      [userId, deviceId, algorithms, ids, texts],
      tx,
    );
    const [kept] = await this.#db.query<{ count: number }>(
      'SELECT count(*) AS count FROM one_time_keys WHERE user_id = $1 AND device_id = $2',
      [userId, deviceId],
      tx,
    );
    if (ids.length > 0 && (kept?.count ?? 0) > ONE_TIME_KEYS) {
      throw tooMuchKept(`A device may keep at most ${String(ONE_TIME_KEYS)} one-time keys here.`);
    }
    if (other) {
      throw new MatrixError(
        400,
        'M_INVALID_PARAM',
        `There is another key with the id ${other.algorithm}:${other.key_id} already.`,
      );
    }
  }

  async #putFallback(tx: Tx, userId: string, deviceId: string, keys: JsonObject): Promise<void> {
    const { algorithms, ids, texts } = columns(keys);
    for (const [index, algorithm] of algorithms.entries()) {
      // Uploading the same key again keeps its used flag.
      await this.#db.query(
        `INSERT INTO fallback_keys AS old (user_id, device_id, algorithm, key_id, json, used)
         VALUES ($1, $2, $3, $4, $5, false)
         ON CONFLICT (user_id, device_id, algorithm) DO UPDATE SET key_id = excluded.key_id, json = excluded.json,
           used = old.used AND old.key_id = excluded.key_id AND old.json = excluded.json`,
        [userId, deviceId, algorithm, ids[index], texts[index]],
        tx,
      );
    }
  }
}

/** Parses a stored object. */
export function readObject(json: string): JsonObject {
  const value = parseStrict(json);
  if (!isJsonObject(value)) throw new Error('A stored value is no object.');
  return value;
}

export function put<T>(map: ByDevice<T>, userId: string, deviceId: string, value: T): void {
  const devices = map.get(userId);
  if (devices) devices.set(deviceId, value);
  else map.set(userId, new Map([[deviceId, value]]));
}

function columns(keys: JsonObject): { algorithms: string[]; ids: string[]; texts: string[] } {
  const names = Object.keys(keys);
  return {
    algorithms: names.map((name) => name.slice(0, name.indexOf(':'))),
    ids: names.map((name) => name.slice(name.indexOf(':') + 1)),
    texts: Object.values(keys).map((key) => canonicalJson(key)),
  };
}

function claimColumns(devices: readonly ClaimedDevice[]): string[][] {
  return [
    devices.map((device) => device.userId),
    devices.map((device) => device.deviceId),
    devices.map((device) => device.algorithm),
  ];
}
