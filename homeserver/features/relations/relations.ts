/** Relations of events (edits, annotations, threads) that a user may see. */
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import type { RoomViews } from '../../engine/rooms/room-views.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import { besidePlace, readPlace, readToken, tokenBefore, tokenOf } from '../../engine/stream/tokens.ts';
import type { Place } from '../../engine/stream/tokens.ts';
import { relationOf } from '../../engine/rooms/relation-of.ts';

export interface RelationsQuery {
  readonly relType?: string;
  readonly type?: string;
  readonly dir: 'b' | 'f';
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
  /** Whether indirect relations are followed (`recurse`). */
  readonly recurse?: boolean;
}

export interface RelationsPage {
  readonly events: StoredEvent[];
  readonly nextBatch?: string;
  readonly prevBatch?: string;
  /** The recursion depth. */
  readonly recursionDepth?: number;
}

/** The aggregations of one event, by rel_type. */
export type Bundle = JsonObject;

/** Formats an event for the client. */
export type ShowEvent = (event: StoredEvent) => Promise<JsonObject>;

const MAX_DEPTH = 3;
const MAX_REFERENCES = 100;
/** Conditions for related events: placed, accepted and not redacted. */
const COUNTS = 'NOT e.rejected AND NOT e.soft_failed AND NOT e.outlier AND e.redacted_by IS NULL';

export class Relations {
  readonly #db: Database;
  readonly #rooms: RoomViews;

  constructor(db: Database, rooms: RoomViews) {
    this.#db = db;
    this.#rooms = rooms;
  }

  /**
   * Events related to an event, newest or oldest first.
   *
   * @throws MatrixError 404 when the user may not see the event
   * @see Matrix specification, client-server API, "GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}"
   */
  async page(roomId: string, userId: string, parentId: string, query: RelationsQuery): Promise<RelationsPage> {
    await this.#rooms.visibleEvent(roomId, userId, parentId);
    const backwards = query.dir === 'b';
    const order = backwards ? 'DESC' : 'ASC';
    const [lowest, highest] = backwards ? [query.to, query.from] : [query.from, query.to];
    const first: Place = lowest === undefined ? { position: Number.MIN_SAFE_INTEGER } : readPlace(lowest);
    const end: Place = highest === undefined ? { position: Number.MAX_SAFE_INTEGER } : readPlace(highest);
    const params: unknown[] = [
      parentId,
      roomId,
      query.recurse === true ? MAX_DEPTH : 1,
      query.relType ?? null,
      query.type ?? null,
      query.limit + 1,
    ];
    const rows = await this.#db.query<{ event_id: string; depth: number; position: number }>(
      `WITH RECURSIVE related (event_id, rel_type, type, depth) AS (
         SELECT event_id, rel_type, type, 1 FROM event_relations WHERE parent_id = $1 AND room_id = $2
         UNION
         SELECT r.event_id, r.rel_type, r.type, d.depth + 1 FROM event_relations r
         JOIN related d ON r.parent_id = d.event_id WHERE r.room_id = $2 AND d.depth < $3
       )
       SELECT DISTINCT e.event_id, e.depth, e.position FROM related r JOIN events e ON e.event_id = r.event_id
       WHERE ${COUNTS} AND ($4::text IS NULL OR r.rel_type = $4) AND ($5::text IS NULL OR r.type = $5)
         AND ${besidePlace('e.', 'after', first, params)} AND ${besidePlace('e.', 'before', end, params)}
       ORDER BY e.depth ${order}, e.position ${order} LIMIT $6`,
      params,
    );
    const shown = rows.slice(0, query.limit);
    const last = shown.at(-1);
    return {
      events: await this.#visible(
        roomId,
        userId,
        shown.map((row) => row.event_id),
      ),
      ...(rows.length > query.limit && last
        ? { nextBatch: tokenOf({ depth: last.depth, position: backwards ? last.position : last.position + 1 }) }
        : {}),
      ...(query.from === undefined ? {} : { prevBatch: query.from }),
      ...(query.recurse === true ? { recursionDepth: MAX_DEPTH } : {}),
    };
  }

  /**
   * Thread roots of a room; the thread with the latest message comes first.
   *
   * @throws MatrixError 403 for somebody outside the room
   * @see Matrix specification, client-server API, "Querying threads in a room"
   */
  async threads(
    roomId: string,
    userId: string,
    query: { from?: string; limit: number; participated: boolean },
  ): Promise<{ events: StoredEvent[]; nextBatch?: string }> {
    await this.#rooms.requireStanding(roomId, userId);
    const before = query.from === undefined ? Number.MAX_SAFE_INTEGER : readToken(query.from);
    const rows = await this.#db.query<{ parent_id: string; latest: number }>(
      `SELECT r.parent_id, max(e.position) AS latest FROM event_relations r
       JOIN events e ON e.event_id = r.event_id
       JOIN events root ON root.event_id = r.parent_id AND root.room_id = r.room_id AND NOT root.outlier
       WHERE r.room_id = $1 AND r.rel_type = 'm.thread' AND ${COUNTS}
       GROUP BY r.parent_id, root.sender
       HAVING max(e.position) < $2 AND (NOT $3 OR root.sender = $4 OR bool_or(r.sender = $4))
       ORDER BY latest DESC LIMIT $5`,
      [roomId, before, query.participated, userId, query.limit + 1],
    );
    const shown = rows.slice(0, query.limit);
    const last = shown.at(-1);
    return {
      events: await this.#visible(
        roomId,
        userId,
        shown.map((row) => row.parent_id),
      ),
      ...(rows.length > query.limit && last ? { nextBatch: tokenBefore(last.latest) } : {}),
    };
  }

  /**
   * Bundled aggregations, `unsigned["m.relations"]`, by event id, for events that have any. All events must belong to
   * one room.
   *
   * @param show formats an edit or the latest event of a thread for the client
   * @see Matrix specification, client-server API, "Aggregations of child events"
   */
  async bundle(events: readonly StoredEvent[], userId: string, show: ShowEvent): Promise<Map<string, Bundle>> {
    const bundles = new Map<string, Bundle>();
    const parents = new Map(events.filter(canBeReferredTo).map((event) => [event.eventId, event]));
    const [first] = parents.values();
    if (!first) return bundles;
    const kinds = await this.#db.query<{ rel_type: string; parents: string[] }>(
      `SELECT rel_type, array_agg(DISTINCT parent_id) AS parents FROM event_relations
       WHERE parent_id = ANY($1) AND room_id = $2 AND rel_type IN ('m.replace', 'm.thread', 'm.reference')
       GROUP BY rel_type`,
      [[...parents.keys()], first.roomId],
    );
    const add = (parentId: string, relType: string, value: JsonObject): void => {
      bundles.set(parentId, { ...bundles.get(parentId), [relType]: value });
    };
    for (const kind of kinds) {
      if (kind.rel_type === 'm.reference') {
        for (const [parentId, ids] of await this.#references(kind.parents)) {
          add(parentId, 'm.reference', { chunk: ids.map((id) => ({ event_id: id })) });
        }
      } else if (kind.rel_type === 'm.replace') {
        const living = kind.parents.filter((id) => parents.get(id)?.redactedBy === undefined);
        for (const [parentId, edit] of await this.edits(first.roomId, userId, living)) {
          add(parentId, 'm.replace', await show(edit));
        }
      } else {
        await this.#threads(first.roomId, userId, kind.parents, show, (parentId, value) =>
          add(parentId, 'm.thread', value),
        );
      }
    }
    return bundles;
  }

  /**
   * Those of the events (of one room) that have a relation of one of these types, or by one of these senders; with both
   * given, one event must match both.
   *
   * @see Matrix specification, client-server API, "Filtering", `related_by_rel_types` and `related_by_senders`
   */
  async related(
    events: readonly StoredEvent[],
    by: { relTypes?: readonly string[] | null | undefined; senders?: readonly string[] | null | undefined },
  ): Promise<StoredEvent[]> {
    if (!by.relTypes && !by.senders) return [...events];
    const rows = await this.#db.query<{ parent_id: string }>(
      `SELECT DISTINCT r.parent_id FROM event_relations r JOIN events e ON e.event_id = r.event_id
       WHERE r.parent_id = ANY($1) AND ${COUNTS} AND ($2::text[] IS NULL OR r.rel_type = ANY($2))
         AND ($3::text[] IS NULL OR r.sender = ANY($3))`,
      [events.map((event) => event.eventId), by.relTypes ?? null, by.senders ?? null],
    );
    const ids = new Set(rows.map((row) => row.parent_id));
    return events.filter((event) => ids.has(event.eventId));
  }

  /** Events formatted for the client, with bundled aggregations. All must belong to one room. */
  async show(events: readonly StoredEvent[], userId: string, show: ShowEvent): Promise<JsonObject[]> {
    const bundles = await this.bundle(events, userId, show);
    return Promise.all(events.map(async (event) => withBundle(await show(event), bundles.get(event.eventId))));
  }

  async #references(parentIds: readonly string[]): Promise<Map<string, string[]>> {
    const rows = await this.#db.query<{ parent_id: string; ids: string[] }>(
      `SELECT r.parent_id, (array_agg(e.event_id ORDER BY e.position))[1:${MAX_REFERENCES}] AS ids
       FROM event_relations r JOIN events e ON e.event_id = r.event_id
       WHERE r.parent_id = ANY($1) AND r.rel_type = 'm.reference' AND ${COUNTS} GROUP BY r.parent_id`,
      [parentIds],
    );
    return new Map(rows.map((row) => [row.parent_id, row.ids]));
  }

  /** The valid edit of each event: the latest by the same sender and of the same type. Events of one room. */
  async edits(roomId: string, userId: string, parentIds: readonly string[]): Promise<Map<string, StoredEvent>> {
    if (parentIds.length === 0) return new Map();
    const rows = await this.#db.query<{ parent_id: string; event_id: string }>(
      `SELECT DISTINCT ON (r.parent_id) r.parent_id, r.event_id FROM event_relations r
       JOIN events e ON e.event_id = r.event_id
       JOIN events o ON o.event_id = r.parent_id AND o.sender = r.sender AND o.type = r.type
         AND o.room_id = r.room_id AND o.state_key IS NULL
       WHERE r.parent_id = ANY($1) AND r.rel_type = 'm.replace' AND ${COUNTS}
         AND (r.type = 'm.room.encrypted' OR position('"m.new_content":{' IN e.json) > 0)
       ORDER BY r.parent_id, e.origin_server_ts DESC, e.event_id DESC`,
      [parentIds],
    );
    const visible = await this.#visible(
      roomId,
      userId,
      rows.map((row) => row.event_id),
    );
    const byId = new Map(visible.map((event) => [event.eventId, event]));
    const edits = new Map<string, StoredEvent>();
    for (const row of rows) {
      const edit = byId.get(row.event_id);
      if (edit) edits.set(row.parent_id, edit);
    }
    return edits;
  }

  /** The event that an event edits; also known of a redacted edit. */
  async editedBy(eventId: string): Promise<string | undefined> {
    const [row] = await this.#db.query<{ parent_id: string }>(
      `SELECT parent_id FROM event_relations WHERE event_id = $1 AND rel_type = 'm.replace'`,
      [eventId],
    );
    return row?.parent_id;
  }

  async #threads(
    roomId: string,
    userId: string,
    parentIds: readonly string[],
    show: ShowEvent,
    add: (parentId: string, value: JsonObject) => void,
  ): Promise<void> {
    const rows = await this.#db.query<{ parent_id: string; count: number; latest: string; mine: boolean }>(
      `SELECT r.parent_id, count(*) AS count, (array_agg(e.event_id ORDER BY e.position DESC))[1] AS latest,
         bool_or(r.sender = $2) OR bool_or(root.sender = $2) AS mine
       FROM event_relations r JOIN events e ON e.event_id = r.event_id JOIN events root ON root.event_id = r.parent_id
       WHERE r.parent_id = ANY($1) AND r.rel_type = 'm.thread' AND ${COUNTS} GROUP BY r.parent_id`,
      [parentIds, userId],
    );
    const visible = await this.#visible(
      roomId,
      userId,
      rows.map((row) => row.latest),
    );
    const edits = await this.edits(
      roomId,
      userId,
      visible.map((event) => event.eventId),
    );
    for (const row of rows) {
      const latest = visible.find((event) => event.eventId === row.latest);
      if (!latest) continue;
      const edit = edits.get(latest.eventId);
      add(row.parent_id, {
        latest_event: withBundle(await show(latest), edit && { 'm.replace': await show(edit) }),
        count: row.count,
        current_user_participated: row.mine,
      });
    }
  }

  /** Those of the events that the user may see, in order. */
  async #visible(roomId: string, userId: string, ids: readonly string[]): Promise<StoredEvent[]> {
    const events = await this.#rooms.events(ids);
    return this.#rooms.visibleAmong(
      roomId,
      userId,
      ids.map((id) => events.get(id)).filter((event) => event !== undefined),
    );
  }
}

/** Adds bundled aggregations to a formatted event. */
export function withBundle(event: JsonObject, bundle: Bundle | undefined): JsonObject {
  if (!bundle) return event;
  const unsigned = member(event, 'unsigned');
  return { ...event, unsigned: { ...(typeof unsigned === 'object' ? unsigned : {}), 'm.relations': bundle } };
}

/** State events, edits and reactions have no aggregations. */
function canBeReferredTo(event: StoredEvent): boolean {
  if (event.pdu.state_key !== undefined) return false;
  const type = relationOf(event.pdu)?.type;
  return type !== 'm.replace' && type !== 'm.annotation';
}

/** @throws MatrixError 400 */
export function directionOf(text: string | undefined): 'b' | 'f' {
  if (text === undefined || text === 'b') return 'b';
  if (text === 'f') return 'f';
  throw new MatrixError(400, 'M_INVALID_PARAM', 'dir is malformed.');
}
