/** Thread subscriptions. @see MSC4306, MSC4308 */
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError, tooMuchKept } from '../../base/errors.ts';
import { THREAD_SUBSCRIPTIONS } from '../../base/limits.ts';
import type { RoomViews } from '../../engine/rooms/room-views.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import type { Positions } from '../../engine/stream/positions.ts';
import { relationOf } from '../../engine/rooms/relation-of.ts';

export interface ThreadSubscriptionsOptions {
  readonly db: Database;
  readonly rooms: RoomViews;
  readonly positions: Positions;
  readonly notifier: Notifier;
}

/** A subscription to a thread, or its end. */
export interface ThreadSubscription {
  readonly roomId: string;
  readonly rootId: string;
  readonly subscribed: boolean;
  /** Whether the client subscribed automatically, because the user was mentioned. */
  readonly automatic: boolean;
  /** Stream position of the change. */
  readonly position: number;
}

interface Row {
  room_id: string;
  root_id: string;
  subscribed: boolean;
  automatic: boolean;
  position: number;
}

export class ThreadSubscriptions {
  readonly #options: ThreadSubscriptionsOptions;

  constructor(options: ThreadSubscriptionsOptions) {
    this.#options = options;
  }

  /** @returns undefined without a subscription @throws MatrixError 404 for an unknown event */
  async get(userId: string, roomId: string, rootId: string): Promise<ThreadSubscription | undefined> {
    await this.#options.rooms.visibleEvent(roomId, userId, rootId);
    const found = await this.#find(userId, roomId, rootId);
    return found?.subscribed === true ? found : undefined;
  }

  /** Whether a user is subscribed to a thread, for push. */
  async follows(userId: string, roomId: string, rootId: string): Promise<boolean> {
    return (await this.#find(userId, roomId, rootId))?.subscribed === true;
  }

  /**
   * Subscribes to a thread.
   *
   * @param cause for automatic subscriptions: the event in the thread that caused it
   * @throws MatrixError 404 for no such event, 400 when the cause is not in the thread, 409 when the user stopped
   *   following the thread after the cause, 403 when the user follows too many
   */
  async subscribe(userId: string, roomId: string, rootId: string, cause: string | undefined): Promise<void> {
    const { rooms } = this.#options;
    await rooms.visibleEvent(roomId, userId, rootId);
    if (cause !== undefined) {
      const event = await rooms.visibleEvent(roomId, userId, cause);
      const relation = relationOf(event.pdu);
      if (relation?.type !== 'm.thread' || relation.parentId !== rootId) {
        throw new MatrixError(400, 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD', 'The event is not in the thread.');
      }
      const before = await this.#find(userId, roomId, rootId);
      if (before?.subscribed === true) return;
      if (before && event.position <= before.position) {
        throw new MatrixError(
          409,
          'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
          'You unsubscribed from the thread after this event.',
        );
      }
    }
    await this.#put(userId, roomId, rootId, true, cause !== undefined);
  }

  /**
   * Unsubscribes from a thread. @throws MatrixError 404 for an unknown event
   *
   * @throws MatrixError 404 for no such event
   */
  async unsubscribe(userId: string, roomId: string, rootId: string): Promise<void> {
    await this.#options.rooms.visibleEvent(roomId, userId, rootId);
    if ((await this.#find(userId, roomId, rootId))?.subscribed === true) {
      await this.#put(userId, roomId, rootId, false, false);
    }
  }

  /**
   * Changes after a position, newest first; without a position, the current subscriptions.
   *
   * @returns `more` when older ones were left out
   */
  async changes(
    userId: string,
    range: { since: number | undefined; upTo: number; limit: number },
  ): Promise<{ changes: ThreadSubscription[]; more: boolean }> {
    const rows = await this.#options.db.query<Row>(
      `SELECT room_id, root_id, subscribed, automatic, position FROM thread_subscriptions
       WHERE user_id = $1 AND position > $2 AND position <= $3 AND (subscribed OR $4)
       ORDER BY position DESC LIMIT $5`,
      [userId, range.since ?? 0, range.upTo, range.since !== undefined, range.limit + 1],
    );
    return { changes: rows.slice(0, range.limit).map(read), more: rows.length > range.limit };
  }

  async #find(userId: string, roomId: string, rootId: string): Promise<ThreadSubscription | undefined> {
    const [row] = await this.#options.db.query<Row>(
      `SELECT room_id, root_id, subscribed, automatic, position FROM thread_subscriptions
       WHERE user_id = $1 AND room_id = $2 AND root_id = $3`,
      [userId, roomId, rootId],
    );
    return row && read(row);
  }

  async #put(userId: string, roomId: string, rootId: string, subscribed: boolean, automatic: boolean): Promise<void> {
    const { db, positions, notifier } = this.#options;
    const rows = await positions.with((position) =>
      db.query(
        `INSERT INTO thread_subscriptions (user_id, room_id, root_id, subscribed, automatic, position)
         SELECT $1, $2, $3, $4, $5, $6
         WHERE EXISTS (SELECT FROM thread_subscriptions WHERE user_id = $1 AND room_id = $2 AND root_id = $3)
           OR (SELECT count(*) FROM thread_subscriptions WHERE user_id = $1) < $7
         ON CONFLICT (user_id, room_id, root_id) DO UPDATE SET subscribed = excluded.subscribed,
           automatic = excluded.automatic, position = excluded.position
         RETURNING position`,
        [userId, roomId, rootId, subscribed, automatic, position, THREAD_SUBSCRIPTIONS],
      ),
    );
    if (rows.length === 0) throw tooMuchKept('You are subscribed to too many threads. Unsubscribe from one first.');
    notifier.wakeUsers([userId]);
  }
}

/**
 * Changes in the format for clients, by room and thread.
 *
 * @see MSC4308, the extension of the sliding sync and `GET .../thread_subscriptions`
 */
export function describeSubscriptions(changes: readonly ThreadSubscription[]): JsonObject {
  const described: Record<'subscribed' | 'unsubscribed', Record<string, JsonObject>> = {
    subscribed: {},
    unsubscribed: {},
  };
  for (const { roomId, rootId, subscribed, automatic, position } of changes) {
    const rooms = described[subscribed ? 'subscribed' : 'unsubscribed'];
    rooms[roomId] = {
      ...rooms[roomId],
      [rootId]: { bump_stamp: position, ...(subscribed ? { automatic } : {}) },
    };
  }
  return Object.fromEntries(Object.entries(described).filter(([, rooms]) => Object.keys(rooms).length > 0));
}

function read(row: Row): ThreadSubscription {
  return {
    roomId: row.room_id,
    rootId: row.root_id,
    subscribed: row.subscribed,
    automatic: row.automatic,
    position: row.position,
  };
}
