/** Sticky events in `/sync` that are not in the timeline. @see MSC4354 */
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import { joinedRoom } from '../../engine/sync/part.ts';
import type { SyncPart } from '../../engine/sync/part.ts';
import { STICKY } from '../../engine/rooms/sticky.ts';
import type { StickyEvents } from './sticky-events.ts';

/** Runs after the part of rooms: events in a timeline are not repeated. */
export function stickyPart(stickyEvents: StickyEvents, showFor: ShowFor): SyncPart {
  return {
    name: 'sticky',
    async collect({ userId, deviceId, upTo, rooms }, answer) {
      const found = await stickyEvents.ofRooms(userId, [...rooms.joined.values()], upTo);
      const show = showFor(userId, deviceId);
      for (const [roomId, events] of found) {
        const told = inTimeline(answer.rooms.join[roomId]);
        const missing = events.filter((event) => !told.has(event.eventId));
        if (missing.length === 0) continue;
        joinedRoom(answer, roomId)[STICKY] = { events: await Promise.all(missing.map(show)) };
      }
    },
  };
}

function inTimeline(room: unknown): Set<unknown> {
  const timeline = isJsonObject(room) ? member(room, 'timeline') : undefined;
  const events = isJsonObject(timeline) ? member(timeline, 'events') : undefined;
  if (!Array.isArray(events)) return new Set();
  return new Set(events.map((event) => (isJsonObject(event) ? (event as JsonObject)['event_id'] : undefined)));
}
