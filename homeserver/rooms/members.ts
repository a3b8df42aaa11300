/** Who is in which room: an index over the current state of all rooms. */
import { serverOf } from '../../federation/event.ts';
import type { Database, Tx } from '../database/database.ts';

export type Membership = 'join' | 'invite' | 'leave' | 'ban' | 'knock';

export interface MemberOf {
  readonly roomId: string;
  readonly membership: string;
  /** Unix time in ms by the sender of the membership. */
  readonly since: number;
  /** Stream position of the membership. */
  readonly position: number;
}

export class Members {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async put(
    tx: Tx,
    member: { roomId: string; userId: string; membership: string; position: number; since: number },
  ): Promise<void> {
    // Who comes back has a room to forget again.
    const back = ['join', 'invite', 'knock'].includes(member.membership)
      ? 'WITH back AS (DELETE FROM forgotten_rooms WHERE room_id = $1 AND user_id = $2)'
      : '';
    await this.#db.query(
      `${back} INSERT INTO room_members (room_id, user_id, server, membership, position, since) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (room_id, user_id) DO UPDATE SET membership = excluded.membership,
         position = excluded.position, since = excluded.since`,
      [member.roomId, member.userId, serverOf(member.userId), member.membership, member.position, member.since],
      tx,
    );
  }

  async remove(tx: Tx, roomId: string, userId: string): Promise<void> {
    await this.#db.query('DELETE FROM room_members WHERE room_id = $1 AND user_id = $2', [roomId, userId], tx);
  }

  async membership(roomId: string, userId: string): Promise<string | undefined> {
    const [row] = await this.#db.query<{ membership: string }>(
      'SELECT membership FROM room_members WHERE room_id = $1 AND user_id = $2',
      [roomId, userId],
    );
    return row?.membership;
  }

  /** Servers with somebody in the room. */
  async servers(roomId: string, tx?: Tx): Promise<Set<string>> {
    const rows = await this.#db.query<{ server: string }>(
      `SELECT DISTINCT server FROM room_members WHERE room_id = $1 AND membership = 'join'`,
      [roomId],
      tx,
    );
    return new Set(rows.map((row) => row.server));
  }

  /** Users in a room. */
  async joined(roomId: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT user_id FROM room_members WHERE room_id = $1 AND membership = 'join'`,
      [roomId],
    );
    return rows.map((row) => row.user_id);
  }

  /** Users of one server in a room. */
  async joinedOf(roomId: string, server: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT user_id FROM room_members WHERE room_id = $1 AND server = $2 AND membership = 'join' ORDER BY user_id`,
      [roomId, server],
    );
    return rows.map((row) => row.user_id);
  }

  /** Users who are in a room together with a user, without that user. */
  async sharedWith(userId: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT DISTINCT other.user_id FROM room_members own
       JOIN room_members other ON other.room_id = own.room_id AND other.membership = 'join'
       WHERE own.user_id = $1 AND own.membership = 'join' AND other.user_id <> $1`,
      [userId],
    );
    return rows.map((row) => row.user_id);
  }

  /** Rooms of a user, or one of them, without those that the user has forgotten. */
  async roomsOf(userId: string, memberships: readonly string[], roomId?: string): Promise<MemberOf[]> {
    const one = (column: string): string => (roomId === undefined ? '' : ` AND ${column} = $3`);
    const rows = await this.#db.query<{ room_id: string; membership: string; since: number; position: number }>(
      `SELECT m.room_id, m.membership, m.since, m.position FROM room_members m
       WHERE m.user_id = $1 AND m.membership = ANY($2)${one('m.room_id')}
         AND NOT EXISTS (SELECT 1 FROM invitations i WHERE i.room_id = m.room_id AND i.user_id = m.user_id)
         AND (m.membership IN ('join', 'invite', 'knock')
           OR NOT EXISTS (SELECT 1 FROM forgotten_rooms f WHERE f.room_id = m.room_id AND f.user_id = m.user_id))
       UNION ALL
       SELECT room_id, membership, since, position FROM invitations
       WHERE user_id = $1 AND membership = ANY($2)${one('room_id')}
       ORDER BY 4`,
      [userId, memberships, ...(roomId === undefined ? [] : [roomId])],
    );
    return rows.map((row) => ({
      roomId: row.room_id,
      membership: row.membership,
      since: row.since,
      position: row.position,
    }));
  }

  async forget(userId: string, roomId: string): Promise<void> {
    await this.#db.query('INSERT INTO forgotten_rooms (user_id, room_id) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      userId,
      roomId,
    ]);
  }
}
