/** Finds the event of a room that is closest to a time. @see Matrix specification, "timestamp_to_event" */
import { z } from 'zod';
import type { FederationClient } from '../../../federation/client.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { askServer } from '../../engine/federation/ask.ts';
import type { RoomViews } from '../../engine/rooms/room-views.ts';

export interface EventAt {
  readonly eventId: string;
  /** `origin_server_ts`, Unix time in ms. */
  readonly at: number;
}

export interface EventTimesOptions {
  readonly db: Database;
  readonly rooms: RoomViews;
  readonly client: FederationClient;
  readonly serverName: string;
}

export type TimeDirection = 'f' | 'b';

/** Most events checked to find one that the user may see. */
const CANDIDATES = 100;
const MAX_SERVERS = 3;
/** How often history is backfilled to reach the event that another server named. */
const MAX_FETCHES = 10;
const TIMEOUT_MS = 10_000;

const answerSchema = z.looseObject({
  event_id: z.string().min(1).max(255),
  origin_server_ts: z.number().int(),
});

export class EventTimes {
  readonly #options: EventTimesOptions;

  constructor(options: EventTimesOptions) {
    this.#options = options;
  }

  /**
   * The event closest to a time that a user may see; other servers are asked when we lack that part of the history.
   *
   * @param at Unix time in ms
   * @throws MatrixError 403 for somebody outside the room, 404 when there is none
   */
  async forUser(roomId: string, userId: string, at: number, dir: TimeDirection): Promise<EventAt> {
    const { rooms } = this.#options;
    const standing = await rooms.requireStanding(roomId, userId);
    const ids = await this.#near(roomId, at, dir, CANDIDATES);
    const events = await rooms.events(ids);
    const [visible] = await rooms.visibleTo(
      standing,
      roomId,
      userId,
      ids.map((id) => events.get(id)).filter((event) => event !== undefined),
    );
    const own = visible && { eventId: visible.eventId, at: visible.pdu.origin_server_ts };
    // Only joined users may see what other servers have.
    const isInside = standing.membership === 'join';
    const found =
      isInside && (await this.#mayBeElsewhere(roomId, at, dir, own))
        ? closer(at, own, await this.#elsewhere(roomId, at, dir))
        : own;
    if (!found) throw new MatrixError(404, 'M_NOT_FOUND', 'No event was found in this direction.');
    return found;
  }

  /** The event closest to a time that we have, for a server in the room. */
  async forServer(roomId: string, at: number, dir: TimeDirection): Promise<EventAt> {
    const [id] = await this.#near(roomId, at, dir, 1);
    const event = id === undefined ? undefined : await this.#options.rooms.event(id);
    if (!event) throw new MatrixError(404, 'M_NOT_FOUND', 'No event was found in this direction.');
    return { eventId: event.eventId, at: event.pdu.origin_server_ts };
  }

  /** Among events of the same time, the one nearest in the history. */
  async #near(roomId: string, at: number, dir: TimeDirection, limit: number): Promise<string[]> {
    const order = dir === 'f' ? 'ASC' : 'DESC';
    const rows = await this.#options.db.query<{ event_id: string }>(
      `SELECT event_id FROM events
       WHERE room_id = $1 AND origin_server_ts ${dir === 'f' ? '>=' : '<='} $2
         AND NOT outlier AND NOT rejected AND NOT soft_failed
       ORDER BY origin_server_ts ${order}, depth ${order}, position ${order} LIMIT $3`,
      [roomId, at, limit],
    );
    return rows.map((row) => row.event_id);
  }

  /** Whether a closer event may be in the missing history before our first event. */
  async #mayBeElsewhere(roomId: string, at: number, dir: TimeDirection, own: EventAt | undefined): Promise<boolean> {
    const oldest = await this.#options.rooms.oldest(roomId);
    if (!oldest || oldest.pdu.type === 'm.room.create') return false;
    return own === undefined || (dir === 'f' && at < oldest.pdu.origin_server_ts);
  }

  async #elsewhere(roomId: string, at: number, dir: TimeDirection): Promise<EventAt | undefined> {
    const { rooms, serverName } = this.#options;
    const servers = [...(await rooms.joinedServers(roomId))].filter((name) => name !== serverName);
    for (const server of servers.slice(0, MAX_SERVERS)) {
      const found = await this.#ask(server, roomId, at, dir);
      if (!found) continue;
      // So that the user can page from there.
      for (let fetched = 0; fetched < MAX_FETCHES; fetched++) {
        const event = await rooms.event(found.eventId);
        if ((event && !event.outlier) || !(await rooms.fetchHistory(roomId))) break;
      }
      return found;
    }
    return undefined;
  }

  async #ask(server: string, roomId: string, at: number, dir: TimeDirection): Promise<EventAt | undefined> {
    const query = new URLSearchParams({ ts: String(at), dir });
    try {
      const answer = await askServer(this.#options.client, {
        destination: server,
        method: 'GET',
        path: `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(roomId)}?${query.toString()}`,
        timeoutMs: TIMEOUT_MS,
      });
      const parsed = answerSchema.safeParse(answer);
      if (!parsed.success) return undefined;
      const { event_id: eventId, origin_server_ts: time } = parsed.data;
      // An event on the wrong side of the time is ignored.
      return (dir === 'f' ? time >= at : time <= at) ? { eventId, at: time } : undefined;
    } catch (error) {
      if (error instanceof MatrixError) return undefined;
      throw error;
    }
  }
}

function closer(at: number, one: EventAt | undefined, other: EventAt | undefined): EventAt | undefined {
  if (!one || !other) return one ?? other;
  return Math.abs(other.at - at) <= Math.abs(one.at - at) ? other : one;
}
