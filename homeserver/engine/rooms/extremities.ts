/**
 * The forward extremities of a room: the accepted events that no other accepted event has in its past. An event can be
 * in the past of one that was received earlier, or behind rejected or soft-failed events: if it became an extremity all
 * the same, the current state would be resolved with one from long ago.
 */
import { MAX_PREV_EVENTS } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { Database } from '../../database/database.ts';
import type { Write } from '../../database/writes.ts';
import { isHidden } from './event-store.ts';
import type { EventStore } from './event-store.ts';
import type { Room } from './room.ts';

/**
 * From this many forward extremities on, they are merged by an event of our own; where no user of ours may send one, no
 * event is accepted that would add another: the current state is resolved from the states at all of them, so each makes
 * every event more expensive. As many as one event can reference.
 */
export const MAX_EXTREMITIES = MAX_PREV_EVENTS;

export interface ExtremityUpdate {
  readonly extremities: readonly string[];
  /** Writes that belong in the commit of the event. */
  readonly writes: readonly Write[];
}

export class Extremities {
  readonly #db: Database;
  readonly #events: EventStore;

  constructor(db: Database, events: EventStore) {
    this.#db = db;
    this.#events = events;
  }

  /**
   * The forward extremities after an event is placed.
   *
   * @param isAccepted whether the event is accepted
   */
  async after(room: Room, id: string, pdu: Pdu, isAccepted: boolean): Promise<ExtremityUpdate> {
    const wasMissing = await this.#wasMissing(room, id, pdu);
    if (!isAccepted && !wasMissing) return { extremities: room.extremities, writes: [] };
    const { past, missing } = await this.#before(pdu);
    const others = room.extremities.filter((end) => !past.has(end));
    return {
      extremities: wasMissing ? others : [...others, id],
      writes: [...(wasMissing ? [foundWrite(room.roomId, id)] : []), ...missingWrites(room.roomId, missing)],
    };
  }

  /** Whether an event would add an extremity where there are `limit` already. */
  async overflow(room: Room, id: string, pdu: Pdu, limit = MAX_EXTREMITIES): Promise<boolean> {
    if (room.extremities.length < limit) return false;
    const { extremities } = await this.after(room, id, pdu, true);
    return extremities.length > room.extremities.length;
  }

  /** Writes for an event before accepted ones: our join from outside, or history. */
  async writes(roomId: string, id: string, pdu: Pdu): Promise<Write[]> {
    const { missing } = await this.#before(pdu);
    return [foundWrite(roomId, id), ...missingWrites(roomId, missing)];
  }

  /** Whether an accepted event that we have is a descendant of this one. */
  async #wasMissing(room: Room, id: string, { depth }: Pdu): Promise<boolean> {
    const ends = await this.#events.getMany(room.extremities);
    // Nearly all events are newer than all extremities.
    if ([...ends.values()].every((end) => end.pdu.depth < depth)) return false;
    const rows = await this.#db.query('SELECT event_id FROM missing_events WHERE room_id = $1 AND event_id = $2', [
      room.roomId,
      id,
    ]);
    return rows.length > 0;
  }

  /** The accepted events before an event, looking through hidden ones, and the ids of missing events. */
  async #before({ prev_events: previous }: Pdu): Promise<{ past: Set<string>; missing: string[] }> {
    const past = new Set(previous);
    const missing: string[] = [];
    for (let edge: readonly string[] = previous; edge.length > 0;) {
      const found = await this.#events.getMany(edge);
      missing.push(...edge.filter((id) => found.get(id)?.stateAfter === undefined));
      const before = [...found.values()].filter(isHidden).flatMap((event) => event.pdu.prev_events);
      edge = [...new Set(before)].filter((id) => !past.has(id));
      for (const id of edge) past.add(id);
    }
    return { past, missing };
  }
}

function missingWrites(roomId: string, eventIds: readonly string[]): Write[] {
  if (eventIds.length === 0) return [];
  const sql = `INSERT INTO missing_events (room_id, event_id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`;
  return [{ sql, params: [roomId, eventIds] }];
}

function foundWrite(roomId: string, eventId: string): Write {
  return { sql: 'DELETE FROM missing_events WHERE room_id = $1 AND event_id = $2', params: [roomId, eventId] };
}
