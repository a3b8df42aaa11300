/**
 * Currently sticky events: for clients besides their timelines, and for servers that newly join a room.
 *
 * @see MSC4354
 */
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/identifiers.ts';
import { member } from '../../../federation/json.ts';
import { every } from '../../base/every.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';

export interface StickyEventsOptions {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly sender: Pick<Sender, 'write' | 'flush'>;
  readonly serverName: string;
  readonly log: Logger;
}

const CLEAN_UP_MS = 10 * 60 * 1000;
/** Most sticky events of a room sent to a client or server at once. */
const MAX_PER_ROOM = 200;

const SELECT = `SELECT s.event_id, s.room_id FROM sticky_events s JOIN events e ON e.event_id = s.event_id
  WHERE s.expires_at > $1 AND NOT e.rejected AND NOT e.soft_failed AND NOT e.outlier AND e.redacted_by IS NULL`;

export class StickyEvents {
  readonly #options: StickyEventsOptions;
  readonly #stopListening: () => void;
  readonly #stopCleaning: () => void;

  constructor(options: StickyEventsOptions) {
    this.#options = options;
    const { db, rooms, log } = options;
    this.#stopListening = rooms.onEvent((event, { live }) => {
      if (!live || event.outlier || member(event.pdu.content, 'membership') !== 'join') return;
      this.#onJoin(event).catch((error: unknown) =>
        log.warn({ err: error, roomId: event.roomId }, 'sticky events could not be sent to a server'),
      );
    });
    const cleanUp = (): Promise<unknown> => db.query('DELETE FROM sticky_events WHERE expires_at <= $1', [Date.now()]);
    this.#stopCleaning = every(CLEAN_UP_MS, cleanUp, log, 'old sticky events were not removed');
  }

  close(): void {
    this.#stopCleaning();
    this.#stopListening();
  }

  /**
   * Currently sticky events, by room, oldest first.
   *
   * @param rooms for each room the position after which events are returned; undefined for all
   */
  async ofRooms(
    userId: string,
    rooms: readonly { roomId: string; since: number | undefined }[],
    upTo: number,
  ): Promise<Map<string, StoredEvent[]>> {
    const found = new Map<string, StoredEvent[]>();
    if (rooms.length === 0) return found;
    const rows = await this.#options.db.query<{ event_id: string; room_id: string }>(
      `${SELECT} AND s.room_id = ANY($2) AND e.position <= $3 ORDER BY e.position`,
      [Date.now(), rooms.map(({ roomId }) => roomId), upTo],
    );
    if (rows.length === 0) return found;
    const events = await this.#options.rooms.events(rows.map((row) => row.event_id));
    for (const { roomId, since } of rooms) {
      const wanted = [...events.values()].filter(
        (event) => event.roomId === roomId && (since === undefined || event.position > since),
      );
      if (wanted.length === 0) continue;
      wanted.sort((a, b) => a.position - b.position);
      found.set(roomId, await this.#options.rooms.visibleAmong(roomId, userId, wanted.slice(-MAX_PER_ROOM)));
    }
    return found;
  }

  /** The first user of a server has joined: sends the sticky events of our users to it. */
  async #onJoin(event: StoredEvent): Promise<void> {
    const { db, rooms, sender, serverName } = this.#options;
    const { pdu, roomId } = event;
    if (pdu.type !== 'm.room.member' || pdu.state_key === undefined) return;
    const server = serverOf(pdu.state_key);
    if (server === serverName) return;
    const joined = await db.query(
      `SELECT 1 FROM room_members WHERE room_id = $1 AND server = $2 AND membership = 'join' LIMIT 2`,
      [roomId, server],
    );
    if (joined.length !== 1) return;
    const rows = await db.query<{ event_id: string }>(
      `${SELECT} AND s.room_id = $2 AND right(s.sender, length($3::text)) = $3 ORDER BY e.position DESC LIMIT $4`,
      [Date.now(), roomId, `:${serverName}`, MAX_PER_ROOM],
    );
    const events = await rooms.events(rows.map((row) => row.event_id).reverse());
    const write = sender.write([server], [...events.values()]);
    if (write) await writeTogether(db, [write]);
    sender.flush([server]);
  }
}
