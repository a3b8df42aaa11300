/**
 * Device lists of remote users, cached while a room is shared with them. Their servers send updates; when an EDU is
 * missing, the whole list is fetched again, until that succeeds.
 *
 * @see Matrix specification, server-server API, "Device Management"
 */
import type { Logger } from 'pino';
import { LIST_BYTES } from '../../../federation/client.ts';
import type { FederationClient, FederationRequest } from '../../../federation/client.ts';
import { serverOf } from '../../../federation/identifiers.ts';
import { canonicalJson } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database, Tx } from '../../database/database.ts';
import type { Positions } from '../../engine/stream/positions.ts';
import type { CrossSigning } from './cross-signing.ts';
import { put, readObject } from './device-keys.ts';
import type { ByDevice } from './device-keys.ts';
import type { DeviceLists } from './device-lists.ts';
import { deviceListUpdateSchema, MAX_DEVICES, remoteListSchema, signingKeyUpdateSchema } from './schemas.ts';
import type { DeviceListUpdate, RemoteList, SigningKeyUpdate } from './schemas.ts';

export interface RemoteListsOptions {
  readonly db: Database;
  readonly serverName: string;
  readonly client: Pick<FederationClient, 'request'>;
  readonly positions: Positions;
  readonly lists: DeviceLists;
  readonly crossSigning: CrossSigning;
  readonly log: Logger;
  /** Pause before the first retry, in ms; it doubles each time. */
  readonly retryMs?: number;
}

interface ListRow {
  user_id: string;
  stream_id: number;
  stale: boolean;
  attempts: number;
}

const RETRY_MS = 5_000;
const MAX_RETRY_MS = 60 * 60 * 1000;
/** Lists fetched concurrently. */
const BATCH = 10;

/** A list is valid while a room has been shared since before it was fetched: only then did we receive every update. */
const SHARED_SINCE = `EXISTS (
  SELECT 1 FROM room_members theirs JOIN room_members ours ON ours.room_id = theirs.room_id
  WHERE theirs.user_id = list.user_id AND theirs.membership = 'join' AND theirs.position <= list.fetched_at
    AND ours.server = $2 AND ours.membership = 'join' AND ours.position <= list.fetched_at)`;

export class RemoteLists {
  readonly #options: RemoteListsOptions;
  readonly #retryMs: number;
  readonly #asking = new Map<string, Promise<void>>();
  /** The highest `stream_id` received about a user while their list was being fetched. */
  readonly #heard = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** An update was received while lists were being fetched. */
  #again = false;
  #closed = false;

  constructor(options: RemoteListsOptions) {
    this.#options = options;
    this.#retryMs = options.retryMs ?? RETRY_MS;
  }

  /** Resumes fetching what failed before the last stop. */
  start(): void {
    this.#schedule(this.#retryMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all([this.#running, ...this.#asking.values()]);
  }

  /** Which of the users share a room with a local user. */
  async shared(userIds: readonly string[]): Promise<Set<string>> {
    const rows = await this.#options.db.query<{ user_id: string }>(
      `SELECT user_id FROM unnest($1::text[]) AS asked (user_id) WHERE EXISTS (
         SELECT 1 FROM room_members theirs JOIN room_members ours ON ours.room_id = theirs.room_id
         WHERE theirs.user_id = asked.user_id AND theirs.membership = 'join'
           AND ours.server = $2 AND ours.membership = 'join')`,
      [userIds, this.#options.serverName],
    );
    return new Set(rows.map((row) => row.user_id));
  }

  /** Of which users we have a complete and current device list. */
  async known(userIds: readonly string[]): Promise<Set<string>> {
    const rows = await this.#options.db.query<{ user_id: string }>(
      `SELECT user_id FROM remote_device_lists list WHERE user_id = ANY($1) AND NOT stale AND ${SHARED_SINCE}`,
      [userIds, this.#options.serverName],
    );
    return new Set(rows.map((row) => row.user_id));
  }

  /** The devices in cached lists. */
  async devices(userIds: readonly string[]): Promise<ByDevice<JsonObject>> {
    const rows = await this.#options.db.query<{
      user_id: string;
      device_id: string;
      json: string;
      name: string | null;
    }>(
      `SELECT user_id, device_id, json, display_name AS name FROM remote_devices
       WHERE user_id = ANY($1) ORDER BY user_id, device_id`,
      [userIds],
    );
    const found: ByDevice<JsonObject> = new Map();
    for (const row of rows) {
      const unsigned: JsonObject = row.name === null ? {} : { device_display_name: row.name };
      put(found, row.user_id, row.device_id, { ...readObject(row.json), unsigned });
    }
    return found;
  }

  /**
   * Fetches and caches a user's device list. @throws FederationError, or Error for an invalid response
   *
   * @throws FederationError, or Error for an answer that makes no sense
   */
  async ask(userId: string, how: Pick<FederationRequest, 'timeoutMs' | 'onBehalfOf'> = {}): Promise<void> {
    const running = this.#asking.get(userId);
    if (running) return running;
    const asked = this.#ask(userId, how).finally(() => {
      this.#asking.delete(userId);
      this.#heard.delete(userId);
    });
    this.#asking.set(userId, asked);
    return asked;
  }

  /** Handles `m.device_list_update` of another server. */
  async onDeviceListUpdate(origin: string, content: JsonObject): Promise<void> {
    const parsed = deviceListUpdateSchema.safeParse(content);
    if (!parsed.success || serverOf(parsed.data.user_id) !== origin) return;
    const update = parsed.data;
    const userId = update.user_id;
    if (update.keys && (update.keys.user_id !== userId || update.keys.device_id !== update.device_id)) return;
    if (!(await this.shared([userId])).has(userId)) return;
    this.#hear(userId, update.stream_id);
    let gap = false;
    await this.#options.lists.change(userId, (note) =>
      this.#options.db.transaction(async (tx) => {
        const list = await this.#list(userId, tx);
        // Clients ignore devices without keys.
        const matters = Boolean(update.keys) || update.deleted === true;
        if (list === undefined) {
          if (matters) await note.changed(tx);
          return;
        }
        if (update.stream_id <= list.stream_id && !list.stale) return;
        if (list.stale || !follows(update, list.stream_id)) {
          gap = !list.stale;
          await this.#setStale(tx, userId);
          await note.changed(tx);
          return;
        }
        await this.#apply(tx, update);
        if (matters) await note.changed(tx);
      }),
    );
    if (gap) this.#schedule(0);
  }

  /** Handles `m.signing_key_update` of another server. */
  async onSigningKeyUpdate(origin: string, content: JsonObject): Promise<void> {
    const parsed = signingKeyUpdateSchema.safeParse(content);
    if (!parsed.success || serverOf(parsed.data.user_id) !== origin) return;
    const { user_id: userId, master_key: master, self_signing_key: selfSigning } = parsed.data;
    if (!(await this.shared([userId])).has(userId)) return;
    this.#hear(userId, Number.MAX_SAFE_INTEGER);
    await this.#options.lists.change(userId, (note) =>
      this.#options.db.transaction(async (tx) => {
        if ((await this.#list(userId, tx)) !== undefined) {
          await this.#putSigningKeys(tx, { user_id: userId, master_key: master, self_signing_key: selfSigning });
        }
        await note.changed(tx);
      }),
    );
  }

  async #ask(userId: string, how: Pick<FederationRequest, 'timeoutMs' | 'onBehalfOf'>): Promise<void> {
    const { client, db, positions, crossSigning, lists } = this.#options;
    const since = positions.current;
    const answer = await client.request({
      destination: serverOf(userId),
      method: 'GET',
      path: `/_matrix/federation/v1/user/devices/${encodeURIComponent(userId)}`,
      ...how,
      maxBytes: LIST_BYTES,
    });
    const parsed = remoteListSchema.safeParse(answer);
    if (!parsed.success || parsed.data.user_id !== userId) throw new Error('The device list is malformed.');
    const list = parsed.data;
    let overtaken = false;
    await lists.change(userId, (note) =>
      db.transaction(async (tx) => {
        const old = await this.#list(userId, tx);
        const before = old?.stale === true ? await this.#fingerprint(userId, tx) : undefined;
        await db.query('DELETE FROM remote_device_lists WHERE user_id = $1', [userId], tx);
        await crossSigning.remove(tx, userId);
        // An update received meanwhile may be newer than the response. It is used for now, and fetched again.
        overtaken = (this.#heard.get(userId) ?? 0) > list.stream_id;
        await db.query(
          `INSERT INTO remote_device_lists (user_id, stream_id, fetched_at, stale, attempts, retry_at)
           VALUES ($1, $2, $3, $4, $5, 0)`,
          [userId, list.stream_id, since, overtaken, overtaken ? 1 : 0],
          tx,
        );
        for (const device of list.devices) await this.#putDevice(tx, userId, device);
        await this.#putSigningKeys(tx, list);
        // Clients that queried while the list was stale got the old one.
        if (before !== undefined && old !== undefined && old.attempts > 0) {
          if (before !== (await this.#fingerprint(userId, tx))) await note.changed(tx);
        }
      }),
    );
    if (overtaken) this.#schedule(0);
  }

  #hear(userId: string, streamId: number): void {
    if (this.#asking.has(userId)) this.#heard.set(userId, Math.max(streamId, this.#heard.get(userId) ?? 0));
  }

  async #list(userId: string, tx: Tx): Promise<ListRow | undefined> {
    const [row] = await this.#options.db.query<ListRow>(
      `SELECT user_id, stream_id, stale, attempts FROM remote_device_lists list
       WHERE user_id = $1 AND (stale OR ${SHARED_SINCE})`,
      [userId, this.#options.serverName],
      tx,
    );
    return row;
  }

  async #setStale(tx: Tx, userId: string): Promise<void> {
    await this.#options.db.query(
      'UPDATE remote_device_lists SET stale = true, retry_at = 0 WHERE user_id = $1 AND NOT stale',
      [userId],
      tx,
    );
  }

  async #apply(tx: Tx, update: DeviceListUpdate): Promise<void> {
    const { db } = this.#options;
    const { user_id: userId, device_id: deviceId, keys } = update;
    await db.query('UPDATE remote_device_lists SET stream_id = $2 WHERE user_id = $1', [userId, update.stream_id], tx);
    if (update.deleted === true) {
      await db.query('DELETE FROM remote_devices WHERE user_id = $1 AND device_id = $2', [userId, deviceId], tx);
    } else if (keys) {
      await this.#putDevice(tx, userId, { ...update, keys });
    } else if (typeof update.device_display_name === 'string') {
      await db.query(
        'UPDATE remote_devices SET display_name = $3 WHERE user_id = $1 AND device_id = $2',
        [userId, deviceId, update.device_display_name],
        tx,
      );
    }
  }

  async #putDevice(tx: Tx, userId: string, device: RemoteList['devices'][number]): Promise<void> {
    const { device_id: deviceId, device_display_name: name } = device;
    const { unsigned: _unsigned, ...keys } = device.keys as JsonObject;
    if (keys['user_id'] !== userId || keys['device_id'] !== deviceId) return;
    await this.#options.db.query(
      `INSERT INTO remote_devices (user_id, device_id, json, display_name) SELECT $1, $2, $3, $4
       WHERE (SELECT count(*) FROM remote_devices WHERE user_id = $1) < $5
       ON CONFLICT (user_id, device_id) DO UPDATE SET json = excluded.json, display_name = excluded.display_name`,
      [userId, deviceId, canonicalJson(keys), name ?? null, MAX_DEVICES],
      tx,
    );
  }

  async #putSigningKeys(
    tx: Tx,
    { user_id: userId, master_key: master, self_signing_key: selfSigning }: SigningKeyUpdate,
  ): Promise<void> {
    for (const [usage, key] of [['master', master] as const, ['self_signing', selfSigning] as const]) {
      if (key?.user_id !== userId || !key.usage.includes(usage)) continue;
      const { unsigned: _unsigned, ...signed } = key as JsonObject;
      await this.#options.crossSigning.put(tx, userId, usage, signed);
    }
  }

  /** A text that changes whenever what clients get of a list changes. */
  async #fingerprint(userId: string, tx: Tx): Promise<string> {
    const [row] = await this.#options.db.query<{ text: string | null }>(
      `SELECT concat(
         (SELECT string_agg(device_id || json, ' ' ORDER BY device_id) FROM remote_devices WHERE user_id = $1),
         (SELECT string_agg(usage || json, ' ' ORDER BY usage) FROM cross_signing_keys WHERE user_id = $1)) AS text`,
      [userId],
      tx,
    );
    return row?.text ?? '';
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#again = this.#running !== undefined;
      this.#running ??= this.#repair().finally(() => {
        this.#running = undefined;
        if (this.#again) this.#schedule(0);
      });
    }, delayMs);
    this.#timer.unref();
  }

  /** Fetches stale lists again. */
  async #repair(): Promise<void> {
    const { db, serverName, log } = this.#options;
    try {
      // A list is not used when no room is shared any more.
      await db.query(
        `DELETE FROM remote_device_lists list WHERE stale AND NOT EXISTS (
           SELECT 1 FROM room_members theirs JOIN room_members ours ON ours.room_id = theirs.room_id
           WHERE theirs.user_id = list.user_id AND theirs.membership = 'join'
             AND ours.server = $1 AND ours.membership = 'join')`,
        [serverName],
      );
      const rows = await db.query<ListRow>(
        `SELECT user_id, stream_id, stale, attempts FROM remote_device_lists
         WHERE stale AND retry_at <= $1 ORDER BY retry_at LIMIT ${String(BATCH)}`,
        [Date.now()],
      );
      await Promise.all(rows.map((row) => this.#repairOne(row)));
      const [next] = await db.query<{ at: number | null }>(
        'SELECT min(retry_at) AS at FROM remote_device_lists WHERE stale',
      );
      if (next?.at !== null && next?.at !== undefined) this.#schedule(Math.max(0, next.at - Date.now()));
    } catch (error) {
      log.warn({ err: error }, 'device lists could not be updated');
      this.#schedule(this.#retryMs);
    }
  }

  async #repairOne({ user_id: userId, attempts }: ListRow): Promise<void> {
    try {
      await this.ask(userId, { onBehalfOf: 'server' });
    } catch (error) {
      if (this.#closed) return;
      const delay = Math.min(this.#retryMs * 2 ** Math.min(attempts, 20), MAX_RETRY_MS);
      this.#options.log.info({ err: error, server: serverOf(userId) }, 'a device list could not be fetched');
      await this.#options.db.query(
        'UPDATE remote_device_lists SET attempts = attempts + 1, retry_at = $2 WHERE user_id = $1 AND stale',
        [userId, Date.now() + delay],
      );
    }
  }
}

/** Whether no update is missing between the last known one and this one. */
function follows(update: DeviceListUpdate, known: number): boolean {
  return update.prev_id.length > 0 && update.prev_id.every((id) => id <= known);
}
