/** Indexes the relations of events, in the commit that stores them. */
import type { Write } from '../../database/writes.ts';
import type { IndexedEvent } from '../../engine/rooms/ports.ts';
import { relationOf } from '../../engine/rooms/relation-of.ts';

/**
 * The writes that index some events.
 *
 * @see Matrix specification, client-server API, "Forming relationships between events"
 */
export function relationWrites(events: readonly IndexedEvent[]): Write[] {
  return events.flatMap((event) => {
    const relation = relationOf(event.pdu);
    if (!relation) return [];
    return [
      {
        sql: `INSERT INTO event_relations (event_id, room_id, parent_id, rel_type, type, sender)
          VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
        params: [event.eventId, event.roomId, relation.parentId, relation.type, event.pdu.type, event.pdu.sender],
      },
    ];
  });
}
