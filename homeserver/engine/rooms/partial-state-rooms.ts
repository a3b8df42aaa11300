/**
 * Rooms with partial state: the resident server left out the members, so that joining is fast, or some events could not
 * be verified when the room was joined.
 *
 * @see Matrix specification, server-server API, `PUT /send_join`, `omit_members`; MSC3706 and MSC3902
 */
import { MatrixError } from '../../base/errors.ts';
import type { Database } from '../../database/database.ts';
import type { Write } from '../../database/writes.ts';
import { Newest } from '../stream/newest.ts';

export interface PartialStateRoom {
  readonly roomId: string;
  /** Our join; the state before it is what is missing. */
  readonly joinEvent: string;
  /** The stream position of the join. */
  readonly position: number;
  /** If false, only a few events are missing, and nobody has to wait. */
  readonly membersOmitted: boolean;
  /** Servers in the room according to the resident server, which is the first. */
  readonly servers: readonly string[];
}

interface Row {
  room_id: string;
  join_event: string;
  position: number;
  members_omitted: boolean;
  servers: string[];
}

/** How long a request for the members waits for the state to be completed, in ms. */
const WHOLE_PATIENCE_MS = 60_000;

export class PartialStateRooms {
  readonly #db: Database;
  readonly #rooms = new Map<string, PartialStateRoom>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #newest: Newest;

  private constructor(db: Database, position: number) {
    this.#db = db;
    this.#newest = new Newest(position);
  }

  /** @param position the current stream position */
  static async load(db: Database, position: number): Promise<PartialStateRooms> {
    const rooms = new PartialStateRooms(db, position);
    const rows = await db.query<Row>(
      'SELECT room_id, join_event, position, members_omitted, servers FROM incomplete_rooms WHERE open',
    );
    for (const row of rows) {
      rooms.#rooms.set(row.room_id, {
        roomId: row.room_id,
        joinEvent: row.join_event,
        position: row.position,
        membersOmitted: row.members_omitted,
        servers: row.servers,
      });
    }
    return rooms;
  }

  find(roomId: string): PartialStateRoom | undefined {
    return this.#rooms.get(roomId);
  }

  all(): PartialStateRoom[] {
    return [...this.#rooms.values()];
  }

  /** Whether the members of a room are not known yet, so that nothing may be said about them. */
  lacksMembers(roomId: string): boolean {
    return this.#rooms.get(roomId)?.membersOmitted === true;
  }

  /** Writes that add a room; call `noted` after the commit. */
  write(room: PartialStateRoom): Write {
    return {
      sql: `INSERT INTO incomplete_rooms (room_id, join_event, position, members_omitted, servers, open)
            VALUES ($1, $2, $3, $4, $5, true)
            ON CONFLICT (room_id) DO UPDATE SET join_event = excluded.join_event, position = excluded.position,
              members_omitted = excluded.members_omitted, servers = excluded.servers, open = true, completed = NULL`,
      params: [room.roomId, room.joinEvent, room.position, room.membersOmitted, room.servers],
    };
  }

  noted(room: PartialStateRoom): void {
    this.#rooms.set(room.roomId, room);
  }

  /**
   * Writes that record that the members of a room are known; call `learned` after the commit.
   *
   * @param position the stream position of the change
   * @param isWhole whether the state is complete
   */
  learning(roomId: string, position: number, isWhole: boolean): Write {
    this.#newest.note(position);
    return {
      sql: `UPDATE incomplete_rooms SET members_omitted = false, open = $3,
              completed = CASE WHEN members_omitted THEN $2 ELSE completed END WHERE room_id = $1`,
      params: [roomId, position, !isWhole],
    };
  }

  learned(roomId: string, isWhole: boolean): void {
    const room = this.#rooms.get(roomId);
    if (isWhole) this.#rooms.delete(roomId);
    else if (room) this.#rooms.set(roomId, { ...room, membersOmitted: false });
    for (const done of this.#waiting.get(roomId) ?? []) done();
  }

  /** Waits until the members of a room are known. @throws MatrixError 503 when that takes too long */
  async whole(roomId: string): Promise<void> {
    if (!this.lacksMembers(roomId) || (await this.#learnedWithin(roomId, WHOLE_PATIENCE_MS))) return;
    throw new MatrixError(
      503,
      'M_UNKNOWN',
      'The room was joined just now, and its members are not known yet. Try again in a minute.',
    );
  }

  /**
   * @returns false when the members of a room are not known within the time, in ms
   *
   * @returns false when the members of a room are not known after so many ms
   */
  async #learnedWithin(roomId: string, waitMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiting = this.#waiting.get(roomId) ?? new Set();
    this.#waiting.set(roomId, waiting);
    const done = (): void => resolve(true);
    waiting.add(done);
    const timer = setTimeout(resolve, waitMs, false);
    timer.unref();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(done);
      if (waiting.size === 0 && this.#waiting.get(roomId) === waiting) this.#waiting.delete(roomId);
    }
  }

  /** The stream positions, after a given one, at which the members of some rooms became known. */
  async completedAfter(roomIds: readonly string[], position: number): Promise<Map<string, number>> {
    if (roomIds.length === 0 || !this.#newest.mayBeAfter(position)) return new Map();
    const rows = await this.#db.query<{ room_id: string; completed: number }>(
      'SELECT room_id, completed FROM incomplete_rooms WHERE completed > $2 AND room_id = ANY($1)',
      [roomIds, position],
    );
    return new Map(rows.map((row) => [row.room_id, row.completed]));
  }
}
