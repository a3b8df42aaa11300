/**
 * Which device lists a client has to fetch again: those that changed, and those of users who newly share a room.
 *
 * @see Matrix specification, client-server API, "Tracking the device list for a user"
 */
import { member } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { Newest } from '../../engine/stream/newest.ts';

export interface ListChanges {
  readonly changed: string[];
  readonly left: string[];
}

interface MemberChange {
  readonly position: number;
  readonly roomId: string;
  readonly userId: string;
  readonly joined: boolean;
  readonly wasJoined: boolean;
  /** Whether the syncing user is in the room now. */
  readonly inside: boolean;
}

/** A user shares a room with the user `$1`. */
const SHARED = `EXISTS (
  SELECT 1 FROM room_members own JOIN room_members other ON other.room_id = own.room_id
  WHERE own.user_id = $1 AND own.membership = 'join' AND other.user_id = candidate.user_id AND other.membership = 'join')`;
/** They have shared it since before position `$2`: later changes of either membership do not count. */
const SHARED_SINCE = SHARED.replace(/\)$/, ' AND own.position <= $2 AND other.position <= $2)');

export class ChangedLists {
  readonly #db: Database;
  readonly #rooms: Pick<RoomReader, 'events' | 'movedAfter'>;
  readonly #newest: Newest;

  /** @param newest the newest change of a device list */
  constructor(db: Database, rooms: Pick<RoomReader, 'events' | 'movedAfter'>, newest: Newest) {
    this.#db = db;
    this.#rooms = rooms;
    this.#newest = newest;
  }

  /**
   * `changed` and `left` of `device_lists` in `/sync`.
   *
   * @param since the position up to which the user is up to date
   */
  async between(userId: string, since: number, upTo: number): Promise<ListChanges> {
    const changed = new Set(this.#newest.mayBeAfter(since) ? await this.#noted(userId, since, upTo) : []);
    const left = new Set<string>();
    const moves = this.#rooms.movedAfter(since) ? await this.#memberChanges(userId, since, upTo) : [];
    if (moves.length > 0) {
      const { come, gone } = await this.#moved(userId, moves);
      for (const id of come.size === 0 ? [] : await this.#newlyShared(userId, since, [...come])) changed.add(id);
      gone.delete(userId);
      for (const id of gone.size === 0 ? [] : await this.#notShared(userId, [...gone])) left.add(id);
    }
    return { changed: [...changed].sort(), left: [...left].filter((id) => !changed.has(id)).sort() };
  }

  /** Users whose device lists changed. */
  async #noted(userId: string, since: number, upTo: number): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT DISTINCT user_id FROM device_list_changes candidate WHERE position > $2 AND position <= $3
         AND (audience = $1 OR (audience IS NULL AND (user_id = $1 OR ${SHARED})))`,
      [userId, since, upTo],
    );
    return rows.map((row) => row.user_id);
  }

  /** Users who may share a room with the user since these membership changes, or no longer. */
  async #moved(userId: string, moves: readonly MemberChange[]): Promise<{ come: Set<string>; gone: Set<string> }> {
    const [come, gone] = [new Set<string>(), new Set<string>()];
    const [entered, leftRooms] = [new Map<string, number>(), new Set<string>()];
    for (const { position, roomId, userId: who, joined, wasJoined } of moves) {
      if (who !== userId || joined === wasJoined) continue;
      if (joined) entered.set(roomId, position);
      else leftRooms.add(roomId);
    }
    for (const { position, roomId, userId: who, joined, wasJoined, inside } of moves) {
      if (who === userId || joined === wasJoined || (!inside && !leftRooms.has(roomId))) continue;
      if (joined) come.add(who);
      // Who left before the user came was never together with them.
      else if (leftRooms.has(roomId) || position > (entered.get(roomId) ?? 0)) gone.add(who);
    }
    const rows = await this.#db.query<{ user_id: string; room_id: string }>(
      `SELECT user_id, room_id FROM room_members WHERE room_id = ANY($1) AND membership = 'join'`,
      [[...entered.keys(), ...leftRooms]],
    );
    for (const row of rows) {
      if (entered.has(row.room_id)) come.add(row.user_id);
      if (leftRooms.has(row.room_id)) gone.add(row.user_id);
    }
    // The user's own other devices have to be notified as well.
    if (entered.size > 0) come.add(userId);
    return { come, gone };
  }

  async #newlyShared(userId: string, since: number, candidates: readonly string[]): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT user_id FROM unnest($3::text[]) AS candidate (user_id)
       WHERE user_id = $1 OR (${SHARED} AND NOT ${SHARED_SINCE})`,
      [userId, since, candidates],
    );
    return rows.map((row) => row.user_id);
  }

  async #notShared(userId: string, candidates: readonly string[]): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT user_id FROM unnest($2::text[]) AS candidate (user_id) WHERE NOT ${SHARED}`,
      [userId, candidates],
    );
    return rows.map((row) => row.user_id);
  }

  /** Membership changes in the user's current and former rooms, in order. */
  async #memberChanges(userId: string, since: number, upTo: number): Promise<MemberChange[]> {
    const rows = await this.#db.query<{
      position: number;
      room_id: string;
      state_key: string;
      event_id: string | null;
      previous: string | null;
      inside: boolean;
    }>(
      `SELECT c.position, c.room_id, c.state_key, c.event_id, c.previous, own.membership = 'join' AS inside FROM room_members own
       JOIN state_changes c ON c.room_id = own.room_id AND c.position > $2 AND c.position <= $3
       WHERE own.user_id = $1 AND c.type = 'm.room.member'
         AND (own.membership = 'join' OR own.position > $2) ORDER BY c.position`,
      [userId, since, upTo],
    );
    if (rows.length === 0) return [];
    const ids = rows.flatMap((row) => [row.event_id, row.previous]).filter((id) => id !== null);
    const events = await this.#rooms.events(new Set(ids));
    const isJoin = (id: string | null): boolean =>
      id !== null && member(events.get(id)?.pdu.content, 'membership') === 'join';
    return rows.map((row) => ({
      position: row.position,
      roomId: row.room_id,
      userId: row.state_key,
      joined: isJoin(row.event_id),
      wasJoined: isJoin(row.previous),
      inside: row.inside,
    }));
  }
}
