/** The members of rooms: an index over the current state of all rooms. */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { serverOf } from '../../../federation/event.ts';
import type { Database } from '../../database/database.ts';
import type { Write } from '../../database/writes.ts';

export type Membership = 'join' | 'invite' | 'leave' | 'ban' | 'knock';

export interface MemberOf {
  readonly roomId: string;
  readonly membership: string;
  /** `origin_server_ts` of the membership event, Unix time in ms. */
  readonly since: number;
  /** Stream position of the membership event. */
  readonly position: number;
}

/** One row of the index. */
export interface MembershipEntry {
  readonly userId: string;
  readonly membership: string;
  readonly position: number;
  readonly since: number;
}

const CACHED_ROOMS = 5_000;
/** One of them may be the requesting user. */
const HEROES = 6;

export class Members {
  readonly #db: Database;
  readonly #servers = new LRUCache<string, readonly string[]>(atMost(CACHED_ROOMS));
  #generation = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Writes that update the index of a room. */
  writes(roomId: string, entries: readonly MembershipEntry[], gone: readonly string[]): Write[] {
    const writes: Write[] = [];
    if (entries.length > 0) {
      writes.push({
        sql: `INSERT INTO room_members (room_id, user_id, server, membership, position, since)
              SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
              ON CONFLICT (room_id, user_id) DO UPDATE SET membership = excluded.membership,
                position = excluded.position, since = excluded.since`,
        params: [
          roomId,
          entries.map((entry) => entry.userId),
          entries.map((entry) => serverOf(entry.userId)),
          entries.map((entry) => entry.membership),
          entries.map((entry) => entry.position),
          entries.map((entry) => entry.since),
        ],
      });
    }
    const back = entries.filter((entry) => entry.membership === 'join').map((entry) => entry.userId);
    if (back.length > 0) {
      writes.push({
        sql: 'DELETE FROM forgotten_rooms WHERE room_id = $1 AND user_id = ANY($2)',
        params: [roomId, back],
      });
    }
    if (gone.length > 0) {
      writes.push({
        sql: 'DELETE FROM room_members WHERE room_id = $1 AND user_id = ANY($2)',
        params: [roomId, gone],
      });
    }
    return writes;
  }

  /** Whether these changes may add or remove a server; most do not, such as another join from a server. */
  changesServers(roomId: string, entries: readonly MembershipEntry[], gone: readonly string[]): boolean {
    const servers = this.#servers.get(roomId);
    if (!servers || gone.length > 0) return true;
    return entries.some((entry) => entry.membership !== 'join' || !servers.includes(serverOf(entry.userId)));
  }

  /** To be called before and after the index of a room is written: what is read in between is not cached. */
  changing(roomId: string): void {
    this.#generation += 1;
    this.#servers.delete(roomId);
  }

  async membership(roomId: string, userId: string): Promise<string | undefined> {
    const [row] = await this.#db.query<{ membership: string }>(
      'SELECT membership FROM room_members WHERE room_id = $1 AND user_id = $2',
      [roomId, userId],
    );
    return row?.membership;
  }

  /** Servers with a user in the room; with partial state, including those named by the resident server. */
  async servers(roomId: string): Promise<Set<string>> {
    const cached = this.#servers.get(roomId);
    if (cached) return new Set(cached);
    const generation = this.#generation;
    const rows = await this.#db.query<{ server: string }>(
      `SELECT DISTINCT server FROM room_members WHERE room_id = $1 AND membership = 'join'
       UNION SELECT unnest(servers) FROM incomplete_rooms WHERE room_id = $1 AND open AND members_omitted`,
      [roomId],
    );
    const servers = rows.map((row) => row.server);
    if (generation === this.#generation) this.#servers.set(roomId, servers);
    return new Set(servers);
  }

  /** Users joined to a room. */
  async joined(roomId: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT user_id FROM room_members WHERE room_id = $1 AND membership = 'join'`,
      [roomId],
    );
    return rows.map((row) => row.user_id);
  }

  /** The number of joined users. */
  async joinedCount(roomId: string): Promise<number> {
    const [row] = await this.#db.query<{ count: number }>(
      `SELECT count(*) AS count FROM room_members WHERE room_id = $1 AND membership = 'join'`,
      [roomId],
    );
    return row?.count ?? 0;
  }

  /**
   * The heroes of a room: users after whom a room without a name is named.
   *
   * @see Matrix specification, "Room Summary", `m.heroes`
   */
  async heroes(roomId: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT user_id FROM room_members WHERE room_id = $1 AND membership IN ('join', 'invite')
       ORDER BY position, user_id LIMIT ${String(HEROES)}`,
      [roomId],
    );
    return rows.map((row) => row.user_id);
  }

  /** Joined users of one server in a room. */
  async joinedOf(roomId: string, server: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT user_id FROM room_members WHERE room_id = $1 AND server = $2 AND membership = 'join' ORDER BY user_id`,
      [roomId, server],
    );
    return rows.map((row) => row.user_id);
  }

  /** Joined users of one server in a room, with the stream position of the event that says so now. */
  async positionsOf(roomId: string, server: string): Promise<{ readonly userId: string; readonly position: number }[]> {
    const rows = await this.#db.query<{ user_id: string; position: number }>(
      `SELECT user_id, position FROM room_members
       WHERE room_id = $1 AND server = $2 AND membership = 'join' ORDER BY user_id`,
      [roomId, server],
    );
    return rows.map((row) => ({ userId: row.user_id, position: row.position }));
  }

  /** Users who share a room with a user, without that user. */
  async sharedWith(userId: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT DISTINCT other.user_id FROM room_members own
       JOIN room_members other ON other.room_id = own.room_id AND other.membership = 'join'
       WHERE own.user_id = $1 AND own.membership = 'join' AND other.user_id <> $1`,
      [userId],
    );
    return rows.map((row) => row.user_id);
  }

  /** Whether a user shares a room with any user of a server. */
  async sharesRoomWith(userId: string, server: string): Promise<boolean> {
    const [found] = await this.#db.query(
      `SELECT 1 FROM room_members own
       JOIN room_members other ON other.room_id = own.room_id AND other.server = $2 AND other.membership = 'join'
       WHERE own.user_id = $1 AND own.membership = 'join' LIMIT 1`,
      [userId, server],
    );
    return found !== undefined;
  }

  /** Whether two servers share a room, as far as is known of rooms with partial state. */
  async shareRoom(server: string, other: string): Promise<boolean> {
    const [found] = await this.#db.query(
      `SELECT 1 FROM room_members theirs
       JOIN room_members own ON own.room_id = theirs.room_id AND own.server = $1 AND own.membership = 'join'
       WHERE theirs.server = $2 AND theirs.membership = 'join'
       UNION ALL
       SELECT 1 FROM incomplete_rooms WHERE $2 = ANY(servers) AND open AND members_omitted
       LIMIT 1`,
      [server, other],
    );
    return found !== undefined;
  }

  /** The rooms of a user, or one of them, without forgotten ones. */
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
