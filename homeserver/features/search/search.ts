/** Full-text search in messages, names and topics that a user may see. */
import { z } from 'zod';
import { member } from '../../../federation/json.ts';
import { eventFilterSchema, passing } from '../../engine/client/event-filter.ts';
import type { EventFilter } from '../../engine/client/event-filter.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import type { RoomViews } from '../../engine/rooms/room-views.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Related } from '../../engine/client/event-filter.ts';

export const KEYS = ['content.body', 'content.name', 'content.topic'] as const;

/** The `room_events` of a search. @see Matrix specification, client-server API, "Server Side Search" */
export const criteriaSchema = z.looseObject({
  search_term: z.string().max(1000),
  keys: z.array(z.enum(KEYS)).max(100).nullish(),
  filter: eventFilterSchema.nullish(),
  order_by: z.enum(['recent', 'rank']).nullish(),
  event_context: z
    .looseObject({
      before_limit: z.number().int().min(0).nullish(),
      after_limit: z.number().int().min(0).nullish(),
      include_profile: z.boolean().nullish(),
    })
    .nullish(),
  include_state: z.boolean().nullish(),
  groupings: z
    .looseObject({
      group_by: z
        .array(z.looseObject({ key: z.enum(['room_id', 'sender']) }))
        .max(2)
        .nullish(),
    })
    .nullish(),
});
export type Criteria = z.output<typeof criteriaSchema>;

export interface Match {
  readonly event: StoredEvent;
  readonly rank: number;
}

export interface Found {
  /** The number of results that the user may see, as far as they were checked. */
  readonly count: number;
  readonly matches: Match[];
  readonly nextBatch?: string;
  readonly highlights: string[];
}

/** Most events checked for one search. */
const MAX_CANDIDATES = 1000;
const MAX_ROOMS = 5000;
/** How many predecessors of an upgraded room are searched too. */
const MAX_PREDECESSORS = 10;

export class Search {
  readonly #db: Database;
  readonly #rooms: RoomViews;
  readonly #relations: Related;

  constructor(db: Database, rooms: RoomViews, relations: Related) {
    this.#db = db;
    this.#rooms = rooms;
    this.#relations = relations;
  }

  /**
   * @param limit the page size
   * @throws MatrixError 400 for an invalid token
   */
  async find(userId: string, criteria: Criteria, limit: number, nextBatch: string | undefined): Promise<Found> {
    const { offset, upTo } = placeOf(nextBatch, this.#rooms.position);
    const filter = criteria.filter ?? {};
    const roomIds = await this.#searched(userId, filter);
    const candidates = await this.#candidates(roomIds, criteria, upTo);
    const events = await this.#rooms.events(candidates.map((row) => row.event_id));
    const allowed = await this.#allowed(userId, [...events.values()], filter);
    const matches: Match[] = [];
    for (const { event_id: id, rank } of candidates) {
      const event = events.get(id);
      if (event && allowed.has(event)) matches.push({ event, rank });
    }
    const page = matches.slice(offset, offset + limit);
    return {
      count: matches.length,
      matches: page,
      ...(page.length === limit && limit > 0 ? { nextBatch: `${String(offset + limit)}_${String(upTo)}` } : {}),
      highlights: [...new Set(criteria.search_term.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])],
    };
  }

  /** The user's current and former rooms; rooms named in the filter include their predecessors. */
  async #searched(userId: string, filter: EventFilter): Promise<string[]> {
    const own = new Set((await this.#rooms.roomsOf(userId, ['join', 'leave', 'ban'])).map((entry) => entry.roomId));
    const excluded = new Set(filter.not_rooms);
    if (!filter.rooms) return [...own].filter((roomId) => !excluded.has(roomId)).slice(0, MAX_ROOMS);
    const wanted = new Set<string>();
    for (const roomId of filter.rooms) {
      let next: unknown = roomId;
      for (let back = 0; back <= MAX_PREDECESSORS && typeof next === 'string' && own.has(next); back++) {
        wanted.add(next);
        const create = await this.#rooms.stateEvent(next, 'm.room.create', '');
        const predecessor: unknown = member(create?.pdu.content, 'predecessor');
        next =
          typeof predecessor === 'object' && predecessor !== null && 'room_id' in predecessor
            ? predecessor.room_id
            : undefined;
      }
    }
    return [...wanted].filter((roomId) => !excluded.has(roomId));
  }

  async #candidates(
    roomIds: readonly string[],
    criteria: Criteria,
    upTo: number,
  ): Promise<{ event_id: string; rank: number }[]> {
    if (roomIds.length === 0) return [];
    const order = criteria.order_by === 'recent' ? 'e.position DESC' : 'rank DESC, e.position ASC';
    return this.#db.query<{ event_id: string; rank: number }>(
      `SELECT w.event_id, ts_rank_cd(w.words, asked.query) AS rank
       FROM websearch_to_tsquery('simple', $1) AS asked (query), event_words w
       JOIN events e ON e.event_id = w.event_id
       WHERE w.words @@ asked.query AND w.room_id = ANY($2) AND w.key = ANY($3) AND e.position <= $4
         AND NOT e.rejected AND NOT e.soft_failed AND NOT e.outlier AND e.redacted_by IS NULL
       ORDER BY ${order} LIMIT $5`,
      [criteria.search_term.replaceAll('\0', ' '), roomIds, criteria.keys ?? KEYS, upTo, MAX_CANDIDATES],
    );
  }

  /** Those of the events that the user may see and that pass the filter. */
  async #allowed(userId: string, events: readonly StoredEvent[], filter: EventFilter): Promise<Set<StoredEvent>> {
    const byRoom = new Map<string, StoredEvent[]>();
    for (const event of events) byRoom.set(event.roomId, [...(byRoom.get(event.roomId) ?? []), event]);
    const allowed = new Set<StoredEvent>();
    // The filter's rooms were already applied: it does not know the predecessors.
    const { rooms: _rooms, not_rooms: _notRooms, ...rest } = filter;
    for (const [roomId, inRoom] of byRoom) {
      const visible = await this.#rooms.visibleAmong(roomId, userId, inRoom);
      for (const event of await passing(this.#relations, rest, visible)) allowed.add(event);
    }
    return allowed;
  }
}

/** All pages of one search end at the stream position of the first, so that results do not shift. */
function placeOf(token: string | undefined, position: number): { offset: number; upTo: number } {
  if (token === undefined || token === '') return { offset: 0, upTo: position };
  const match = /^([0-9]{1,9})_([0-9]{1,15})$/.exec(token);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'next_batch is malformed.');
  return { offset: Number(match[1]), upTo: Number(match[2]) };
}
