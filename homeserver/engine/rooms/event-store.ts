/** The event store: signed JSON, the three flags, and the state groups before and after each event. */
import { LRUCache } from 'lru-cache';
import type { Pdu } from '../../../federation/event.ts';
import { canonicalJson, parseStrict } from '../../../federation/json.ts';
import { DEFAULT_ROOM_VERSION, roomVersion } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { Database, Tx } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import { DUMMY_EVENT } from '../../base/names.ts';
import type { EventIndex } from './ports.ts';
import { besidePlace } from '../stream/tokens.ts';
import type { Place } from '../stream/tokens.ts';
import { redactedEvent, signedForm } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

export type { StoredEvent } from './stored-event.ts';

interface Row {
  event_id: string;
  room_id: string;
  position: number | null;
  json: string;
  rejected: boolean;
  soft_failed: boolean;
  outlier: boolean;
  redacted_by: string | null;
  state_before: number | null;
  state_after: number | null;
  /** The room version, for redacted events. */
  version: string | null;
}

/** How much JSON text the cached events may have in total. Parsed, an event takes about four times that. */
const CACHED_CHARACTERS = 4 * 1024 * 1024;
const COLUMNS = `event_id, room_id, position, json, rejected, soft_failed, outlier, redacted_by, state_before, state_after,
  CASE WHEN redacted_by IS NOT NULL THEN (SELECT version FROM rooms WHERE rooms.room_id = events.room_id) END AS version`;
/** Events shown to people. */
const SHOWN = `NOT rejected AND NOT soft_failed AND NOT outlier AND type <> '${DUMMY_EVENT}'`;

export class EventStore {
  readonly #db: Database;
  readonly #indexes: readonly EventIndex[];
  readonly #cache = new LRUCache<string, StoredEvent>({
    maxSize: CACHED_CHARACTERS,
    sizeCalculation: ({ pdu }) => JSON.stringify(pdu).length,
  });
  /** Incremented by each redaction: an event read before one may be outdated, and is not cached. */
  #redactions = 0;

  /** @param indexes what features index of each stored event */
  constructor(db: Database, indexes: readonly EventIndex[] = []) {
    this.#db = db;
    this.#indexes = indexes;
  }

  async get(eventId: string): Promise<StoredEvent | undefined> {
    return (await this.getMany([eventId])).get(eventId);
  }

  /** Those of the events that we have. */
  async getMany(eventIds: Iterable<string>): Promise<Map<string, StoredEvent>> {
    const found = new Map<string, StoredEvent>();
    const missing: string[] = [];
    for (const id of eventIds) {
      const cached = this.#cache.get(id);
      if (cached) found.set(id, cached);
      // Whoever names it: PostgreSQL does not even look for a text with a NUL.
      else if (!id.includes('\0')) missing.push(id);
    }
    if (missing.length > 0) {
      const redactions = this.#redactions;
      const rows = await this.#db.query<Row>(`SELECT ${COLUMNS} FROM events WHERE event_id = ANY($1)`, [missing]);
      for (const row of rows) {
        const event = stored(row);
        found.set(event.eventId, event);
        if (redactions === this.#redactions) this.#cache.set(event.eventId, event);
      }
    }
    return found;
  }

  /** Those of the events that we lack or only have as outliers. */
  async withoutPlace(eventIds: readonly string[]): Promise<string[]> {
    const found = await this.getMany(eventIds);
    return eventIds.filter((id) => found.get(id)?.stateAfter === undefined);
  }

  /** Stores an event, or places an outlier in the history. */
  async put(event: StoredEvent, tx: Tx): Promise<void> {
    await writeTogether(this.#db, this.writes([event]), tx);
  }

  /** What `put` writes. @param stored each event once */
  writes(stored: readonly StoredEvent[]): Write[] {
    if (stored.length === 0) return [];
    const own: Write = {
      sql: `INSERT INTO events (event_id, room_id, position, type, state_key, sender, depth, origin_server_ts, json,
         rejected, soft_failed, outlier, state_before, state_after, redacted_by)
       SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],
         $8::bigint[], $9::text[], $10::boolean[], $11::boolean[], $12::boolean[], $13::bigint[], $14::bigint[], $15::text[])
       ON CONFLICT (event_id) DO UPDATE SET position = excluded.position, rejected = excluded.rejected,
         soft_failed = excluded.soft_failed, outlier = excluded.outlier, state_before = excluded.state_before,
         state_after = excluded.state_after, redacted_by = coalesce(events.redacted_by, excluded.redacted_by)
       WHERE events.outlier`,
      params: [
        stored.map((event) => event.eventId),
        stored.map((event) => event.roomId),
        stored.map((event) => (event.outlier ? null : event.position)),
        stored.map(({ pdu }) => pdu.type),
        stored.map(({ pdu }) => pdu.state_key ?? null),
        stored.map(({ pdu }) => pdu.sender),
        stored.map(({ pdu }) => pdu.depth),
        stored.map(({ pdu }) => pdu.origin_server_ts),
        stored.map((event) => canonicalJson(signedForm(event))),
        stored.map((event) => event.rejected),
        stored.map((event) => event.softFailed),
        stored.map((event) => event.outlier),
        stored.map((event) => event.stateBefore ?? null),
        stored.map((event) => event.stateAfter ?? null),
        stored.map((event) => event.redactedBy ?? null),
      ],
    };
    return [own, ...this.#indexes.flatMap((index) => index(stored))];
  }

  /** To be called after `put` was committed. */
  committed(event: StoredEvent): void {
    const { transactionId: _transactionId, ...lasting } = event;
    this.#cache.set(event.eventId, lasting);
  }

  /** Writes that change the state around placed events, or their verdict. To be followed by `committed` for each. */
  reviewed(events: readonly StoredEvent[]): Write {
    return {
      sql: `UPDATE events SET rejected = n.rejected, soft_failed = n.soft, state_before = n.before, state_after = n.after
            FROM unnest($1::text[], $2::boolean[], $3::boolean[], $4::bigint[], $5::bigint[])
              AS n (id, rejected, soft, before, after)
            WHERE event_id = n.id`,
      params: [
        events.map((event) => event.eventId),
        events.map((event) => event.rejected),
        events.map((event) => event.softFailed),
        events.map((event) => event.stateBefore ?? null),
        events.map((event) => event.stateAfter ?? null),
      ],
    };
  }

  /** Events of a room in stream order, whatever their flags, without outliers. @param from inclusive */
  async storedFrom(roomId: string, from: number, limit: number): Promise<StoredEvent[]> {
    const rows = await this.#db.query<Row>(
      `SELECT ${COLUMNS} FROM events WHERE room_id = $1 AND position >= $2 AND NOT outlier ORDER BY position LIMIT $3`,
      [roomId, from, limit],
    );
    return rows.map(stored);
  }

  /**
   * Writes that redact an event, in the store and in search. To be followed by `redacted`.
   *
   * @returns no writes for an event that is already redacted
   */
  redaction(target: StoredEvent, by: string, version: RoomVersion): Write[] {
    if (target.redactedBy !== undefined) return [];
    return [
      {
        sql: 'UPDATE events SET redacted_by = $2, json = $3 WHERE event_id = $1 AND redacted_by IS NULL',
        params: [target.eventId, by, canonicalJson(signedForm(redactedEvent(target, by, version)))],
      },
      { sql: 'DELETE FROM event_words WHERE event_id = $1', params: [target.eventId] },
    ];
  }

  /** To be called after `redaction` was committed, before anybody is notified. */
  redacted(eventId: string): void {
    this.#redactions += 1;
    this.#cache.delete(eventId);
  }

  /** Visible events of a room between two stream positions, both exclusive. */
  async range(
    roomId: string,
    range: { after?: number; before?: number; newestFirst: boolean; limit: number },
  ): Promise<StoredEvent[]> {
    const rows = await this.#db.query<Row>(
      `SELECT ${COLUMNS} FROM events
       WHERE room_id = $1 AND position > $2 AND position < $3 AND ${SHOWN}
       ORDER BY position ${range.newestFirst ? 'DESC' : 'ASC'} LIMIT $4`,
      [roomId, range.after ?? Number.MIN_SAFE_INTEGER, range.before ?? Number.MAX_SAFE_INTEGER, range.limit],
    );
    return rows.map(stored);
  }

  /** Visible events of a room by depth, between two places. */
  async page(
    roomId: string,
    range: { after?: Place; before?: Place; newestFirst: boolean; limit: number },
  ): Promise<StoredEvent[]> {
    const { after = { position: Number.MIN_SAFE_INTEGER }, before = { position: Number.MAX_SAFE_INTEGER } } = range;
    const order = range.newestFirst ? 'DESC' : 'ASC';
    const params: unknown[] = [roomId, range.limit];
    const rows = await this.#db.query<Row>(
      `SELECT ${COLUMNS} FROM events
       WHERE room_id = $1 AND ${SHOWN}
         AND ${besidePlace('', 'after', after, params)} AND ${besidePlace('', 'before', before, params)}
       ORDER BY depth ${order}, position ${order} LIMIT $2`,
      params,
    );
    return rows.map(stored);
  }

  /** The oldest event that we have in the history. */
  async oldest(roomId: string): Promise<StoredEvent | undefined> {
    const [row] = await this.#db.query<Row>(
      `SELECT ${COLUMNS} FROM events WHERE room_id = $1 AND NOT outlier ORDER BY depth, position LIMIT 1`,
      [roomId],
    );
    return row && stored(row);
  }

  /** The first event of the live history: the create event, or our first join. */
  async first(roomId: string): Promise<StoredEvent | undefined> {
    const [row] = await this.#db.query<Row>(
      `SELECT ${COLUMNS} FROM events WHERE room_id = $1 AND position > 0 AND NOT outlier ORDER BY position LIMIT 1`,
      [roomId],
    );
    return row && stored(row);
  }

  /** The event by which we are in a room: the create event, or our latest join from outside. */
  async entry(roomId: string): Promise<StoredEvent | undefined> {
    const [row] = await this.#db.query<Row>(
      `SELECT ${COLUMNS} FROM events WHERE event_id = (SELECT entered_by FROM rooms WHERE room_id = $1)`,
      [roomId],
    );
    return row ? stored(row) : this.first(roomId);
  }

  /** The lowest position of backfilled events, 0 when there are none. */
  async firstPosition(): Promise<number> {
    const [row] = await this.#db.query<{ first: number }>(
      'SELECT least(coalesce(min(position), 0), 0) AS first FROM events',
    );
    return row?.first ?? 0;
  }
}

/** Whether an event is placed in its room, but not shown to people. */
export function isHidden({ outlier, rejected, softFailed }: StoredEvent): boolean {
  return !outlier && (rejected || softFailed);
}

function stored(row: Row): StoredEvent {
  const event: StoredEvent = {
    eventId: row.event_id,
    roomId: row.room_id,
    // We wrote this text after parsing it; the strict parser reads every key as it was signed.
    pdu: parseStrict(row.json) as Pdu,
    position: row.position ?? 0,
    rejected: row.rejected,
    softFailed: row.soft_failed,
    outlier: row.outlier,
    ...(row.state_before === null ? {} : { stateBefore: row.state_before }),
    ...(row.state_after === null ? {} : { stateAfter: row.state_after }),
  };
  if (row.redacted_by === null) return event;
  const version = roomVersion(row.version ?? DEFAULT_ROOM_VERSION);
  if (!version) throw new Error(`The version of the room of ${row.event_id} is unknown.`);
  return redactedEvent(event, row.redacted_by, version);
}
