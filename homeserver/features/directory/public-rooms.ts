/** The room directory (published rooms). */
import { z } from 'zod';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import { circleParameters, inCircle } from '../../engine/visibility.ts';
import type { Visibility } from '../../engine/visibility.ts';
import { summaryOf } from '../../engine/rooms/summary.ts';
import type { RoomSummary } from '../../engine/rooms/summary.ts';

/** The body of `POST /publicRooms`, of clients and of servers. */
export const publicRoomsSchema = z.looseObject({
  limit: z.number().int().min(0).optional(),
  since: z.string().max(500).optional(),
  filter: z
    .looseObject({
      generic_search_term: z.string().max(500).nullish(),
      room_types: z.array(z.string().max(255).nullable()).max(50).nullish(),
    })
    .nullish(),
});
export type PublicRoomsQuery = z.output<typeof publicRoomsSchema>;

export interface PublicRoomsPage {
  readonly chunk: RoomSummary[];
  readonly next_batch?: string;
  readonly prev_batch?: string;
  readonly total_room_count_estimate: number;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 500;

export class PublicRooms {
  readonly #db: Database;
  readonly #rooms: RoomReader;
  readonly #visibility: Visibility;

  constructor(db: Database, rooms: RoomReader, visibility: Visibility) {
    this.#db = db;
    this.#rooms = rooms;
    this.#visibility = visibility;
  }

  /** Adds a room to the directory or removes it. @param by the user who does it, in whose tenant it is listed then */
  async set(roomId: string, listed: boolean, by: string): Promise<void> {
    if (listed) {
      await this.#db.query(
        'INSERT INTO public_rooms (room_id, listed_at, listed_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
        [roomId, Date.now(), by],
      );
    } else {
      await this.#db.query('DELETE FROM public_rooms WHERE room_id = $1', [roomId]);
    }
  }

  /** Lists the room that replaces another instead of it. */
  async move(from: string, to: string): Promise<void> {
    await this.#db.query(
      `INSERT INTO public_rooms (room_id, listed_at, listed_by)
       SELECT $2, $3, listed_by FROM public_rooms WHERE room_id = $1 ON CONFLICT DO NOTHING`,
      [from, to, Date.now()],
    );
    await this.#db.query('DELETE FROM public_rooms WHERE room_id = $1', [from]);
  }

  async listed(roomId: string): Promise<boolean> {
    return (await this.#db.query('SELECT 1 FROM public_rooms WHERE room_id = $1', [roomId])).length > 0;
  }

  /**
   * A page of the directory, rooms with most members first.
   *
   * @param viewer a user who sees those of their tenant and those that they are in; without one, the whole directory
   * @throws MatrixError 400 M_INVALID_PARAM for an invalid token
   * @see Matrix specification, client-server API, "Listing rooms"
   */
  async page(query: PublicRoomsQuery, viewer?: string): Promise<PublicRoomsPage> {
    const limit = Math.min(query.limit === undefined || query.limit === 0 ? DEFAULT_LIMIT : query.limit, MAX_LIMIT);
    const { first, backwards } = startOf(query.since);
    const start = backwards ? Math.max(0, first - limit) : first;
    const end = backwards ? first : first + limit;
    const listed = await this.#all(viewer);
    // Without a filter, only the rooms of the page are read.
    const filtered = isFilter(query.filter);
    const matching: RoomSummary[] = [];
    for (const { roomId, joined } of filtered ? listed : listed.slice(start, end)) {
      const summary = await summaryOf(this.#rooms, roomId, joined);
      if (summary && (!filtered || matches(summary, query.filter))) matching.push(summary);
    }
    const total = filtered ? matching.length : listed.length;
    return {
      chunk: filtered ? matching.slice(start, end) : matching,
      ...(end < total ? { next_batch: `n${end}` } : {}),
      ...(start > 0 ? { prev_batch: `b${start}` } : {}),
      total_room_count_estimate: total,
    };
  }

  /** The listed rooms with members. */
  async #all(viewer: string | undefined): Promise<{ roomId: string; joined: number }[]> {
    const circle = viewer === undefined ? undefined : await this.#visibility.circleOf(viewer);
    const rows = await this.#db.query<{ room_id: string; joined: number }>(
      `SELECT p.room_id, count(*) AS joined FROM public_rooms p
       JOIN room_members m ON m.room_id = p.room_id AND m.membership = 'join'
       WHERE ${listedIn(1, 3)}
       GROUP BY p.room_id ORDER BY count(*) DESC, p.room_id`,
      [...circleParameters(circle), viewer ?? null],
    );
    return rows.map((row) => ({ roomId: row.room_id, joined: row.joined }));
  }
}

/**
 * The condition that a row `p` of `public_rooms` is listed for a user.
 *
 * @param first number of the first of the two parameters of `circleParameters`
 * @param viewer number of the parameter with the user id
 */
export function listedIn(first: number, viewer: number): string {
  return `(${inCircle(
    `(SELECT tenant FROM users WHERE localpart = split_part(substr(p.listed_by, 2), ':', 1))`,
    first,
  )} OR EXISTS (
    SELECT 1 FROM room_members own
    WHERE own.room_id = p.room_id AND own.user_id = $${String(viewer)} AND own.membership = 'join'))`;
}

function startOf(since: string | undefined): { first: number; backwards: boolean } {
  if (since === undefined || since === '') return { first: 0, backwards: false };
  const match = /^([nb])([0-9]{1,9})$/.exec(since);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'since is malformed.');
  return { first: Number(match[2]), backwards: match[1] === 'b' };
}

/** Whether the filter has a condition. */
function isFilter(filter: PublicRoomsQuery['filter']): boolean {
  return Boolean(filter?.room_types) || (filter?.generic_search_term ?? '').trim() !== '';
}

function matches(room: RoomSummary, filter: PublicRoomsQuery['filter']): boolean {
  // A room without a type is matched by null.
  if (filter?.room_types && !filter.room_types.includes(room.room_type ?? null)) return false;
  const term = filter?.generic_search_term?.trim().toLowerCase();
  if (term === undefined || term === '') return true;
  return [room.name, room.topic, room.canonical_alias].some((text) => text?.toLowerCase().includes(term));
}
