/** The notifications of users, and their unread counts. */
import { parseStrict, canonicalJson } from '../../../federation/json.ts';
import type { JsonValue } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import type { PushRule } from './default-rules.ts';

export interface Notice {
  readonly userId: string;
  readonly roomId: string;
  readonly eventId: string;
  readonly position: number;
  /** `main` or the event id of a thread root. */
  readonly threadId: string;
  readonly highlight: boolean;
  readonly actions: PushRule['actions'];
  /** Unix time in ms. */
  readonly at: number;
}

export interface Unread {
  readonly notifications: number;
  readonly highlights: number;
}

/** How far a user has read a thread. */
export interface ReadTo {
  readonly userId: string;
  readonly roomId: string;
  /** Empty for all threads. */
  readonly threadId: string;
  readonly position: number;
}

interface Row {
  user_id: string;
  room_id: string;
  event_id: string;
  position: number;
  thread_id: string;
  highlight: boolean;
  actions: string;
  at: number;
  read: boolean;
}

/** How long notifications are stored and counted, in ms. */
const KEPT_MS = 60 * 24 * 3600 * 1000;
const READ_TO = `coalesce((SELECT max(r.position) FROM push_read r
  WHERE r.user_id = a.user_id AND r.room_id = a.room_id AND r.thread_id IN ('', a.thread_id)), 0)`;
const COLUMNS = 'a.user_id, a.room_id, a.event_id, a.position, a.thread_id, a.highlight, a.actions, a.at';

export class Notifications {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Stores notifications and read positions in one step. */
  async add(notices: readonly Notice[], read: readonly ReadTo[] = []): Promise<void> {
    const writes: Write[] = [];
    if (notices.length > 0) writes.push(noticesWrite(notices));
    if (read.length > 0) writes.push(readWrite(read));
    await writeTogether(this.#db, writes);
  }

  /** Deletes the notifications of a redacted event. */
  async remove(eventId: string): Promise<void> {
    await this.#db.query('DELETE FROM push_actions WHERE event_id = $1', [eventId]);
  }

  /** @param threadId undefined for all threads */
  async read(userId: string, roomId: string, threadId: string | undefined, position: number): Promise<void> {
    await this.add([], [{ userId, roomId, threadId: threadId ?? '', position }]);
  }

  /** Unread counts by room and thread. */
  async unread(
    userId: string,
    roomIds: readonly string[],
    upTo: number,
  ): Promise<Map<string, ReadonlyMap<string, Unread>>> {
    if (roomIds.length === 0) return new Map();
    const rows = await this.#db.query<{
      room_id: string;
      thread_id: string;
      notifications: number;
      highlights: number;
    }>(
      `SELECT a.room_id, a.thread_id, count(*) AS notifications, count(*) FILTER (WHERE a.highlight) AS highlights
       FROM push_actions a WHERE a.user_id = $1 AND a.room_id = ANY($2) AND a.position <= $3 AND a.position > ${READ_TO}
       GROUP BY a.room_id, a.thread_id`,
      [userId, roomIds, upTo],
    );
    const found = new Map<string, Map<string, Unread>>();
    for (const { room_id: roomId, thread_id: threadId, notifications, highlights } of rows) {
      const threads = found.get(roomId) ?? new Map<string, Unread>();
      threads.set(threadId, { notifications, highlights });
      found.set(roomId, threads);
    }
    return found;
  }

  /** The number of rooms with unread notifications: the badge of an app. */
  async badge(userId: string): Promise<number> {
    const [row] = await this.#db.query<{ rooms: number }>(
      `SELECT count(DISTINCT a.room_id) AS rooms FROM push_actions a WHERE a.user_id = $1 AND a.position > ${READ_TO}`,
      [userId],
    );
    return row?.rooms ?? 0;
  }

  /** Notifications of a user, newest first. */
  async page(
    userId: string,
    query: { readonly before?: number | undefined; readonly limit: number; readonly onlyHighlights: boolean },
  ): Promise<(Notice & { readonly read: boolean })[]> {
    const rows = await this.#db.query<Row>(
      `SELECT ${COLUMNS}, a.position <= ${READ_TO} AS read FROM push_actions a
       WHERE a.user_id = $1 AND a.position < $2 AND (a.highlight OR NOT $3) ORDER BY a.position DESC LIMIT $4`,
      [userId, query.before ?? Number.MAX_SAFE_INTEGER, query.onlyHighlights, query.limit],
    );
    return rows.map(notice);
  }

  /** Unread notifications of a user after a position, oldest first. */
  async toPush(userId: string, after: number, limit: number): Promise<Notice[]> {
    const rows = await this.#db.query<Row>(
      `SELECT ${COLUMNS}, false AS read FROM push_actions a
       WHERE a.user_id = $1 AND a.position > $2 AND a.position > ${READ_TO} ORDER BY a.position LIMIT $3`,
      [userId, after, limit],
    );
    return rows.map(notice);
  }

  async prune(): Promise<void> {
    await this.#db.query('DELETE FROM push_actions WHERE at < $1', [Date.now() - KEPT_MS]);
  }
}

function noticesWrite(notices: readonly Notice[]): Write {
  return {
    sql: `INSERT INTO push_actions (user_id, room_id, event_id, position, thread_id, highlight, actions, at)
      SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::boolean[], $7::text[],
        $8::bigint[])
      ON CONFLICT DO NOTHING`,
    params: [
      notices.map((notice) => notice.userId),
      notices.map((notice) => notice.roomId),
      notices.map((notice) => notice.eventId),
      notices.map((notice) => notice.position),
      notices.map((notice) => notice.threadId),
      notices.map((notice) => notice.highlight),
      notices.map((notice) => canonicalJson(notice.actions as JsonValue)),
      notices.map((notice) => notice.at),
    ],
  };
}

/** Of the same user, room and thread, only the furthest position is written. */
function readWrite(read: readonly ReadTo[]): Write {
  const furthest = new Map<string, ReadTo>();
  for (const each of read) {
    const key = [each.userId, each.roomId, each.threadId].join('\0');
    if ((furthest.get(key)?.position ?? -Infinity) < each.position) furthest.set(key, each);
  }
  const rows = [...furthest.values()];
  return {
    sql: `INSERT INTO push_read (user_id, room_id, thread_id, position)
      SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
      ON CONFLICT (user_id, room_id, thread_id)
      DO UPDATE SET position = greatest(push_read.position, excluded.position)`,
    params: [
      rows.map((row) => row.userId),
      rows.map((row) => row.roomId),
      rows.map((row) => row.threadId),
      rows.map((row) => row.position),
    ],
  };
}

function notice(row: Row): Notice & { readonly read: boolean } {
  return {
    userId: row.user_id,
    roomId: row.room_id,
    eventId: row.event_id,
    position: row.position,
    threadId: row.thread_id,
    highlight: row.highlight,
    // This text was written by us.
    actions: parseStrict(row.actions) as unknown as PushRule['actions'],
    at: row.at,
    read: row.read,
  };
}
