/**
 * Receipts and read markers.
 *
 * @see Matrix specification, client-server API, "Receipts", "Fully read markers"
 */
import { serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { AccountDataStore } from '../../engine/client/account-data-store.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { THREAD_RECEIPTS } from '../../base/limits.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import { Newest } from '../../engine/stream/newest.ts';
import type { Positions } from '../../engine/stream/positions.ts';

/** Public, or visible to the reader's own devices only. */
export type ReceiptKind = 'm.read' | 'm.read.private';

export interface Receipt {
  readonly roomId: string;
  readonly userId: string;
  readonly kind: ReceiptKind;
  /** `main`, the event id of a thread root, or undefined for an unthreaded receipt. */
  readonly threadId: string | undefined;
  readonly eventId: string;
  /** Unix time in ms. */
  readonly at: number;
}

export interface ReceiptsOptions {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: RoomReader;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
  readonly accountData: AccountDataStore;
  /** Called first when a user has read up to a position. */
  readonly onRead?: (receipt: Receipt, eventPosition: number) => Promise<void>;
}

interface Row {
  room_id: string;
  user_id: string;
  kind: ReceiptKind;
  thread_id: string;
  event_id: string;
  at: number;
}

const FULLY_READ = 'm.fully_read';

export class Receipts {
  readonly #options: ReceiptsOptions;
  readonly #newest: Newest;

  constructor(options: ReceiptsOptions) {
    this.#options = options;
    this.#newest = new Newest(options.positions.current);
  }

  /**
   * A local user has read up to an event.
   *
   * @throws MatrixError 403 for somebody outside the room, 404 for an event that is not in it
   */
  async read(receipt: Omit<Receipt, 'at'>): Promise<void> {
    const { roomId, userId, kind, threadId, eventId } = receipt;
    const position = await this.#positionOf(roomId, userId, eventId);
    const at = Date.now();
    if (!(await this.store({ ...receipt, at }, position)) || kind !== 'm.read') return;
    const { rooms, sender, serverName } = this.#options;
    const servers = await rooms.joinedServers(roomId);
    servers.delete(serverName);
    if (servers.size === 0) return;
    const data: JsonObject = { ts: at, ...(threadId === undefined ? {} : { thread_id: threadId }) };
    sender.edu(servers, 'm.receipt', { [roomId]: { 'm.read': { [userId]: { data, event_ids: [eventId] } } } });
  }

  /**
   * Sets the private fully read marker. It never moves back. @throws MatrixError 403 or 404
   *
   * @throws MatrixError 403 or 404
   */
  async mark(roomId: string, userId: string, eventId: string): Promise<void> {
    const { accountData, rooms } = this.#options;
    const position = await this.#positionOf(roomId, userId, eventId);
    const present = (await accountData.get(userId, roomId, FULLY_READ))?.['event_id'];
    const old = typeof present === 'string' ? await rooms.event(present) : undefined;
    if (old && !old.outlier && old.position >= position) return;
    await accountData.put(userId, roomId, FULLY_READ, { event_id: eventId });
  }

  /**
   * Stores a receipt, unless a later event was already read.
   *
   * @param eventPosition undefined for an unknown event
   */
  async store(receipt: Receipt, eventPosition: number | undefined): Promise<boolean> {
    const { db, positions, notifier, serverName, onRead } = this.#options;
    if (eventPosition !== undefined && serverOf(receipt.userId) === serverName) await onRead?.(receipt, eventPosition);
    const rows = await positions.with((position) => {
      this.#newest.note(position);
      return db.query<{ added: boolean }>(
        `INSERT INTO receipts (room_id, user_id, kind, thread_id, event_id, event_position, at, position)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (room_id, user_id, kind, thread_id) DO UPDATE SET event_id = excluded.event_id,
           event_position = excluded.event_position, at = excluded.at, position = excluded.position
         WHERE receipts.event_id <> excluded.event_id
           AND (receipts.event_position IS NULL OR excluded.event_position IS NULL
             OR receipts.event_position < excluded.event_position)
         RETURNING xmax = 0 AS added`,
        [
          receipt.roomId,
          receipt.userId,
          receipt.kind,
          receipt.threadId ?? '',
          receipt.eventId,
          eventPosition ?? null,
          receipt.at,
          position,
        ],
      );
    });
    if (rows.length === 0) return false;
    if (receipt.threadId !== undefined && rows[0]?.added === true) await this.#forgetOldest(receipt);
    if (receipt.kind === 'm.read') notifier.wakeRooms([receipt.roomId]);
    else notifier.wakeUsers([receipt.userId]);
    return true;
  }

  /** Deletes a user's least recent thread receipts in a room above the limit. */
  async #forgetOldest({ roomId, userId, kind }: Receipt): Promise<void> {
    await this.#options.db.query(
      `DELETE FROM receipts WHERE room_id = $1 AND user_id = $2 AND kind = $3 AND thread_id <> '' AND position <= (
         SELECT position FROM receipts WHERE room_id = $1 AND user_id = $2 AND kind = $3 AND thread_id <> ''
         ORDER BY position DESC OFFSET $4 LIMIT 1)`,
      [roomId, userId, kind, THREAD_RECEIPTS],
    );
  }

  /** Receipts in rooms that a user may see, in order of change; `since` exclusive. */
  async changed(roomIds: readonly string[], userId: string, since: number, upTo: number): Promise<Receipt[]> {
    if (roomIds.length === 0 || !this.#newest.mayBeAfter(since)) return [];
    const rows = await this.#options.db.query<Row>(
      `SELECT room_id, user_id, kind, thread_id, event_id, at FROM receipts
       WHERE room_id = ANY($1) AND position > $3 AND position <= $4 AND (kind = 'm.read' OR user_id = $2)
       ORDER BY position`,
      [roomIds, userId, since, upTo],
    );
    return rows.map((row) => ({
      roomId: row.room_id,
      userId: row.user_id,
      kind: row.kind,
      threadId: row.thread_id === '' ? undefined : row.thread_id,
      eventId: row.event_id,
      at: row.at,
    }));
  }

  async #positionOf(roomId: string, userId: string, eventId: string): Promise<number> {
    const { rooms } = this.#options;
    if ((await rooms.membership(roomId, userId)) !== 'join') {
      throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
    }
    const event = await rooms.event(eventId);
    if (event?.roomId !== roomId || event.outlier || event.rejected) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'No such event in this room.');
    }
    return event.position;
  }
}
