/**
 * The places that our participants hold in conferences, kept in the database so that a crash of the homeserver
 * leaves nobody behind: whoever does not come back afterwards is taken out (the meaning of MSC4140's delayed leave).
 */
import type { Database } from '../../database/database.ts';

export interface Place {
  roomId: string;
  userId: string;
  deviceId: string;
  /** Unix ms. */
  joinedAt: number;
}

export class Places {
  readonly #db: Database;
  constructor(db: Database) {
    this.#db = db;
  }

  async add(roomId: string, userId: string, deviceId: string, joinedAt: number): Promise<void> {
    await this.#db.query(
      `INSERT INTO conference_places (room_id, user_id, device_id, joined_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (room_id, user_id, device_id) DO UPDATE SET joined_at = excluded.joined_at`,
      [roomId, userId, deviceId, joinedAt],
    );
  }

  async remove(roomId: string, userId: string, deviceId: string): Promise<void> {
    await this.#db.query('DELETE FROM conference_places WHERE room_id = $1 AND user_id = $2 AND device_id = $3', [
      roomId,
      userId,
      deviceId,
    ]);
  }

  async all(): Promise<Place[]> {
    const rows = await this.#db.query<{ room_id: string; user_id: string; device_id: string; joined_at: string }>(
      'SELECT room_id, user_id, device_id, joined_at FROM conference_places',
    );
    return rows.map((row) => ({
      roomId: row.room_id,
      userId: row.user_id,
      deviceId: row.device_id,
      joinedAt: Number(row.joined_at),
    }));
  }
}
