/**
 * Server-side backups of room keys, encrypted by clients.
 *
 * @see Matrix specification, client-server API, "Server-side key backups"
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { canonicalJson, isJsonObject, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { dictionaryOf } from '../../../protocol/values.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError, tooMuchKept } from '../../base/errors.ts';
import { BACKUP_AUTH_BYTES, KEY_BACKUP_BYTES, KEY_BACKUPS } from '../../base/limits.ts';

const MAX_ID = 255;
/** Limit for rooms of one request and sessions of one room: more than fits into a body. */
const MAX_ENTRIES = 10_000;
/** Yield to the event loop after parsing this many keys. */
const KEYS_AT_ONCE = 200;
const id = z
  .string()
  .max(MAX_ID)
  .refine((text) => !text.includes('\0'), 'has a NUL');
const count = z.number().int().nonnegative();
/** Opaque to the server. According to the specification it is an object; older clients send a string. */
const opaque = z.union([z.string(), z.custom<JsonObject>(isJsonObject)]);

export const versionSchema = z.looseObject({
  algorithm: id,
  auth_data: opaque.refine(
    (data) => Buffer.byteLength(JSON.stringify(data)) <= BACKUP_AUTH_BYTES,
    `has more than ${String(BACKUP_AUTH_BYTES)} bytes`,
  ),
  version: z.string().max(20).nullish(),
});
export type NewVersion = z.output<typeof versionSchema>;

export const sessionSchema = z.looseObject({
  first_message_index: count,
  forwarded_count: count,
  is_verified: z.boolean(),
  session_data: opaque,
});
export const sessionsSchema = z.looseObject({ sessions: dictionaryOf(id, sessionSchema, MAX_ENTRIES) });
export const backupSchema = z.looseObject({ rooms: dictionaryOf(id, sessionsSchema, MAX_ENTRIES) });

export type Session = z.output<typeof sessionSchema>;
/** Sessions by room and id. */
export type Backup = Record<string, Record<string, Session>>;

/** Some keys of a backup. */
export interface Part {
  readonly roomId?: string;
  readonly sessionId?: string;
}

interface VersionRow {
  version: number;
  algorithm: string;
  auth_data: string;
  etag: number;
  count: number;
}
interface KeyRow {
  room_id: string;
  session_id: string;
  first_message_index: number;
  forwarded_count: number;
  is_verified: boolean;
  session_data: string;
}

export class KeyBackups {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Creates a backup. @returns its version @throws MatrixError 403 when the user has too many
   *
   * @returns its version
   * @throws MatrixError 403 when the user has too many
   */
  async create(userId: string, { algorithm, auth_data: authData }: NewVersion): Promise<string> {
    return this.#db.transaction(async (tx) => {
      await this.#lock(tx, userId);
      const [kept] = await this.#db.query<{ count: number }>(
        'SELECT count(*) AS count FROM key_backups WHERE user_id = $1 AND NOT deleted',
        [userId],
        tx,
      );
      if ((kept?.count ?? 0) >= KEY_BACKUPS) throw tooMuchKept('There are too many backups. Delete older ones first.');
      const [row] = await this.#db.query<{ version: number }>(
        `INSERT INTO key_backups (user_id, version, algorithm, auth_data, etag, deleted)
         SELECT $1, coalesce(max(version), 0) + 1, $2, $3, 0, false FROM key_backups WHERE user_id = $1
         RETURNING version`,
        [userId, algorithm, canonicalJson(authData)],
        tx,
      );
      return String(row?.version);
    });
  }

  /** The description of a backup, by default of the newest. @throws MatrixError 404 @throws MatrixError 404 */
  async describe(userId: string, version?: string): Promise<JsonObject> {
    const row = await this.#find(userId, version);
    return {
      algorithm: row.algorithm,
      auth_data: parseStrict(row.auth_data),
      count: row.count,
      etag: String(row.etag),
      version: String(row.version),
    };
  }

  /**
   * Updates the `auth_data` of a backup. @throws MatrixError 404, or 400 for another algorithm or version
   *
   * @throws MatrixError 404, or 400 for another algorithm or version
   */
  async update(userId: string, version: string, changes: NewVersion): Promise<void> {
    const row = await this.#find(userId, version);
    if (changes.version !== undefined && changes.version !== null && changes.version !== String(row.version)) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'The version in the body differs from the one in the path.');
    }
    if (changes.algorithm !== row.algorithm) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'The algorithm of a backup cannot be changed.');
    }
    await this.#db.query('UPDATE key_backups SET auth_data = $3 WHERE user_id = $1 AND version = $2', [
      userId,
      row.version,
      canonicalJson(changes.auth_data),
    ]);
  }

  /** Deletes a backup with its keys. @throws MatrixError 404 */
  async remove(userId: string, version: string): Promise<void> {
    const number = numberOf(version);
    await this.#db.transaction(async (tx) => {
      await this.#lock(tx, userId);
      const [row] = await this.#db.query<{ version: number }>(
        `UPDATE key_backups SET deleted = true, auth_data = '{}' WHERE user_id = $1 AND version = $2 RETURNING version`,
        [userId, number],
        tx,
      );
      if (!row) throw noBackup();
      await this.#db.query('DELETE FROM backed_up_keys WHERE user_id = $1 AND version = $2', [userId, number], tx);
    });
  }

  /**
   * Stores keys. An existing key is only replaced by a better one.
   *
   * @returns `count` and `etag`
   * @throws MatrixError 404 when there is no backup, 403 M_WRONG_ROOM_KEYS_VERSION when it is not the newest, 413 when
   *   the quota for all keys of the user would be exceeded
   */
  async put(userId: string, version: string, backup: Backup): Promise<JsonObject> {
    return this.#db.transaction(async (tx) => {
      await this.#lock(tx, userId);
      const current = await this.#find(userId, undefined, tx);
      if (String(current.version) !== version) {
        throw new MatrixError(403, 'M_WRONG_ROOM_KEYS_VERSION', 'This is not the newest backup.', {
          current_version: String(current.version),
        });
      }
      const rows = Object.entries(backup).flatMap(([roomId, sessions]) =>
        Object.entries(sessions).map(([sessionId, session]) => ({ roomId, sessionId, session })),
      );
      const changed = await this.#db.query(
        `INSERT INTO backed_up_keys AS old (user_id, version, room_id, session_id, first_message_index,
           forwarded_count, is_verified, session_data)
         SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::text[])
         ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET
           first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
           is_verified = excluded.is_verified, session_data = excluded.session_data
         WHERE (NOT excluded.is_verified, excluded.first_message_index, excluded.forwarded_count)
             < (NOT old.is_verified, old.first_message_index, old.forwarded_count)
         RETURNING session_id`,
        [
          userId,
          current.version,
          rows.map((row) => row.roomId),
          rows.map((row) => row.sessionId),
          rows.map((row) => row.session.first_message_index),
          rows.map((row) => row.session.forwarded_count),
          rows.map((row) => row.session.is_verified),
          rows.map((row) => canonicalJson(row.session.session_data)),
        ],
        tx,
      );
      if (changed.length > 0) await this.#requireRoom(tx, userId);
      return this.#state(tx, userId, current.version, changed.length > 0);
    });
  }

  /**
   * @throws MatrixError 413, which rolls the transaction back
   *
   * @throws MatrixError 413, which takes back what was stored in the transaction
   */
  async #requireRoom(tx: Tx, userId: string): Promise<void> {
    const [kept] = await this.#db.query<{ bytes: number }>(
      `SELECT sum(octet_length(session_data) + octet_length(room_id) + octet_length(session_id))::bigint AS bytes
       FROM backed_up_keys WHERE user_id = $1`,
      [userId],
      tx,
    );
    if ((kept?.bytes ?? 0) <= KEY_BACKUP_BYTES) return;
    throw new MatrixError(
      413,
      'M_TOO_LARGE',
      `All keys in backups may have at most ${String(KEY_BACKUP_BYTES)} bytes. Delete older backups first.`,
    );
  }

  /** Keys of a backup. @throws MatrixError 404 for an unknown backup */
  async get(userId: string, version: string, part: Part): Promise<Backup> {
    const row = await this.#find(userId, version);
    const backup: Backup = {};
    for (const [index, key] of (await this.#keys(userId, row.version, part)).entries()) {
      // A backup may have tens of thousands of keys.
      if (index % KEYS_AT_ONCE === KEYS_AT_ONCE - 1) await nextTurn();
      const sessions = (backup[key.room_id] ??= {});
      sessions[key.session_id] = {
        first_message_index: key.first_message_index,
        forwarded_count: key.forwarded_count,
        is_verified: key.is_verified,
        session_data: readOpaque(key.session_data),
      };
    }
    return backup;
  }

  /** Deletes keys of a backup. @returns `count` and `etag` @throws MatrixError 404 for an unknown backup */
  async removeKeys(userId: string, version: string, part: Part): Promise<JsonObject> {
    return this.#db.transaction(async (tx) => {
      await this.#lock(tx, userId);
      const row = await this.#find(userId, version, tx);
      const gone = await this.#db.query(
        `DELETE FROM backed_up_keys WHERE ${chosen} RETURNING session_id`,
        [userId, row.version, part.roomId ?? null, part.sessionId ?? null],
        tx,
      );
      return this.#state(tx, userId, row.version, gone.length > 0);
    });
  }

  async #keys(userId: string, version: number, { roomId, sessionId }: Part): Promise<KeyRow[]> {
    return this.#db.query<KeyRow>(
      `SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data
       FROM backed_up_keys WHERE ${chosen} ORDER BY room_id, session_id`,
      [userId, version, roomId ?? null, sessionId ?? null],
    );
  }

  async #state(tx: Tx, userId: string, version: number, changed: boolean): Promise<JsonObject> {
    if (changed) {
      await this.#db.query(
        'UPDATE key_backups SET etag = etag + 1 WHERE user_id = $1 AND version = $2',
        [userId, version],
        tx,
      );
    }
    const row = await this.#find(userId, String(version), tx);
    return { count: row.count, etag: String(row.etag) };
  }

  async #find(userId: string, version?: string, tx?: Tx): Promise<VersionRow> {
    const number = version === undefined ? null : numberOf(version);
    const [row] = await this.#db.query<VersionRow>(
      `SELECT version, algorithm, auth_data, etag, (SELECT count(*)::integer FROM backed_up_keys k
         WHERE k.user_id = b.user_id AND k.version = b.version) AS count
       FROM key_backups b WHERE user_id = $1 AND NOT deleted AND ($2::bigint IS NULL OR version = $2)
       ORDER BY version DESC LIMIT 1`,
      [userId, number],
      tx,
    );
    if (!row) throw noBackup();
    return row;
  }

  /** Serialises changes to the backups of one user. */
  async #lock(tx: Tx, userId: string): Promise<void> {
    await this.#db.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 22))', [userId], tx);
  }
}

const chosen = `user_id = $1 AND version = $2 AND ($3::text IS NULL OR room_id = $3)
  AND ($4::text IS NULL OR session_id = $4)`;

function readOpaque(json: string): Session['session_data'] {
  return opaque.parse(parseStrict(json));
}

function numberOf(version: string): number {
  if (!/^[0-9]{1,15}$/.test(version)) throw noBackup();
  return Number(version);
}

function noBackup(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'No such backup exists.');
}
