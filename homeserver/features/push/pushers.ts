/** Pushers: where the devices of users want their notifications. */
import { z } from 'zod';
import { canonicalJson, isJsonObject, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { tooMuchKept } from '../../base/errors.ts';
import { PUSHERS } from '../../base/limits.ts';
import type { Positions } from '../../engine/stream/positions.ts';

/** A pusher as set by a client. */
export const pusherSchema = z.looseObject({
  app_id: z.string().min(1).max(64),
  pushkey: z.string().min(1).max(512),
  kind: z.string().max(32),
  app_display_name: z.string().max(255),
  device_display_name: z.string().max(255),
  profile_tag: z.string().max(32).optional(),
  lang: z.string().max(64),
  data: z.custom<JsonObject>(isJsonObject, 'must be an object'),
});
export type PusherData = z.output<typeof pusherSchema>;

export interface Pusher {
  readonly userId: string;
  readonly data: PusherData;
  /** Notifications up to here were pushed. */
  readonly position: number;
  /** When the pusher was created, Unix time in ms. */
  readonly since: number;
}

interface Row {
  user_id: string;
  json: string;
  position: number;
  pushed_at: number;
}

/** A pusher is deleted with the device that set it. */
const ALIVE = `EXISTS (SELECT 1 FROM devices d
  WHERE d.device_id = p.device_id AND '@' || d.localpart || ':' || $1 = p.user_id)`;

export class Pushers {
  readonly #db: Database;
  readonly #positions: Positions;
  readonly #serverName: string;
  /** Users who have set pushers, possibly some who have none any more; complete once `users` was called. */
  readonly #makers = new Set<string>();
  #complete = false;

  constructor({ db, positions, serverName }: { db: Database; positions: Positions; serverName: string }) {
    this.#db = db;
    this.#positions = positions;
    this.#serverName = serverName;
  }

  /**
   * @param alone whether pushers of other users with the same pushkey are removed
   * @throws MatrixError 403 when the user has too many
   */
  async put(userId: string, deviceId: string, data: PusherData, alone: boolean): Promise<void> {
    this.#makers.add(userId);
    await this.#db.transaction(async (tx) => {
      if (alone) {
        await this.#db.query(
          'DELETE FROM pushers WHERE app_id = $1 AND pushkey = $2 AND user_id <> $3',
          [data.app_id, data.pushkey, userId],
          tx,
        );
      }
      await this.#db.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 33))', [userId], tx);
      const [kept] = await this.#db.query<{ count: number }>(
        `SELECT count(*) AS count FROM pushers p
         WHERE user_id = $2 AND ${ALIVE} AND NOT (app_id = $3 AND pushkey = $4)`,
        [this.#serverName, userId, data.app_id, data.pushkey],
        tx,
      );
      if ((kept?.count ?? 0) >= PUSHERS) throw tooMuchKept('You have too many pushers. Remove one first.');
      await this.#db.query(
        `INSERT INTO pushers (user_id, app_id, pushkey, device_id, json, position, pushed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (app_id, pushkey, user_id) DO UPDATE SET device_id = excluded.device_id, json = excluded.json`,
        [
          userId,
          data.app_id,
          data.pushkey,
          deviceId,
          canonicalJson(data as JsonObject),
          this.#positions.current,
          Date.now(),
        ],
        tx,
      );
    });
  }

  async remove(userId: string, appId: string, pushkey: string): Promise<void> {
    await this.#db.query('DELETE FROM pushers WHERE user_id = $1 AND app_id = $2 AND pushkey = $3', [
      userId,
      appId,
      pushkey,
    ]);
  }

  async of(userId: string): Promise<Pusher[]> {
    const rows = await this.#db.query<Row>(
      `SELECT user_id, json, position, pushed_at FROM pushers p WHERE user_id = $2 AND ${ALIVE}`,
      [this.#serverName, userId],
    );
    return rows.map(read);
  }

  /** Users who have pushers. */
  async users(): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>('SELECT DISTINCT user_id FROM pushers');
    const users = rows.map((row) => row.user_id);
    for (const userId of users) this.#makers.add(userId);
    this.#complete = true;
    return users;
  }

  /** False for users who certainly have none: most users of a busy room. */
  mayHave(userId: string): boolean {
    return !this.#complete || this.#makers.has(userId);
  }

  async pushed(pusher: Pusher, position: number): Promise<void> {
    await this.#db.query(
      `UPDATE pushers SET position = greatest(position, $4)
       WHERE user_id = $1 AND app_id = $2 AND pushkey = $3`,
      [pusher.userId, pusher.data.app_id, pusher.data.pushkey, position],
    );
  }
}

function read(row: Row): Pusher {
  return {
    userId: row.user_id,
    // This text was validated and written by us.
    data: parseStrict(row.json) as JsonObject as PusherData,
    position: row.position,
    since: row.pushed_at,
  };
}
