/**
 * The forward extremities of a room: of the accepted events those that are in the past of no other. An event can be in
 * the past of one that came before it, and past events that were rejected or failed softly: were it to count as an end
 * of the room all the same, the current state would be resolved with one from long ago.
 */
import type { Pdu } from '../../federation/event.ts';
import { isHidden } from './event-store.ts';
import type { EventStore } from './event-store.ts';
import type { Room } from './room.ts';

/**
 * Those after an event is accepted; without the event itself when it has come late.
 *
 * @param id of the event
 */
export async function extremitiesWith(events: EventStore, room: Room, id: string, pdu: Pdu): Promise<string[]> {
  const past = await pastThroughHidden(events, pdu.prev_events);
  const others = room.extremities.filter((end) => !past.has(end));
  return (await isPast(events, room, id, pdu)) ? others : [...others, id];
}

/** Some events, and those before them as far as one comes through hidden ones. */
async function pastThroughHidden(events: EventStore, ids: readonly string[]): Promise<Set<string>> {
  const past = new Set<string>();
  for (let edge = [...ids]; edge.length > 0;) {
    for (const id of edge) past.add(id);
    const hidden = [...(await events.getMany(edge)).values()].filter(isHidden);
    edge = hidden.flatMap((event) => event.pdu.prev_events).filter((id) => !past.has(id));
  }
  return past;
}

/** Whether an accepted event that we have comes after this one. */
async function isPast(events: EventStore, room: Room, id: string, { depth }: Pdu): Promise<boolean> {
  const ends = await events.getMany(room.extremities);
  // Nearly all events are news.
  if ([...ends.values()].every((end) => end.pdu.depth < depth)) return false;
  const seen = new Set<string>();
  for (let edge = [id]; edge.length > 0;) {
    const later = await events.after(room.roomId, edge, depth);
    if (!later.every(isHidden)) return true;
    edge = later.map(({ eventId }) => eventId).filter((one) => !seen.has(one));
    for (const one of edge) seen.add(one);
  }
  return false;
}
