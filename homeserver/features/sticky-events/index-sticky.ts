/** Indexes until when an event is sticky, in the commit that stores it. */
import type { Write } from '../../database/writes.ts';
import type { IndexedEvent } from '../../engine/rooms/ports.ts';
import { stickyUntil } from '../../engine/rooms/sticky.ts';

/** The writes that index some events. @see MSC4354 */
export function stickyWrites(events: readonly IndexedEvent[]): Write[] {
  const now = Date.now();
  return events.flatMap((event) => {
    const until = stickyUntil(event.pdu, now);
    if (until === undefined || until <= now) return [];
    return [
      {
        sql: `INSERT INTO sticky_events (event_id, room_id, sender, expires_at) VALUES ($1, $2, $3, $4)
          ON CONFLICT DO NOTHING`,
        params: [event.eventId, event.roomId, event.pdu.sender, until],
      },
    ];
  });
}
