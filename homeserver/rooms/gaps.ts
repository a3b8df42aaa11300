/** Holes in the history that we have: where nobody of ours was in the room, or what came before was not given. */
import { isCreate } from '../../federation/event.ts';
import type { EventStore, StoredEvent } from './event-store.ts';

/** The first of some events right before which history is missing. @param skip ids of events that are not looked at */
export async function firstGap(
  events: EventStore,
  page: readonly StoredEvent[],
  skip?: ReadonlySet<string>,
): Promise<StoredEvent | undefined> {
  const known = await before(events, page);
  return page.find(({ eventId, pdu }) => {
    if (isCreate(pdu) || skip?.has(eventId) === true) return false;
    return pdu.prev_events.some((id) => known.get(id)?.outlier !== false);
  });
}

/**
 * The first of some events, newest first in the order of the stream, that does not follow on from what stands before it
 * there: history is missing, or it was fetched later and so stands at the beginning of the stream. Before the first
 * event of the live history that is the right place for it.
 */
export async function firstBreak(events: EventStore, page: readonly StoredEvent[]): Promise<StoredEvent | undefined> {
  const known = await before(events, page);
  for (const event of page) {
    if (isCreate(event.pdu)) continue;
    const previous = event.pdu.prev_events.map((id) => known.get(id));
    if (previous.some((one) => one?.outlier !== false)) return event;
    const wasFetched = event.position > 0 && previous.some((one) => one !== undefined && one.position < 0);
    if (wasFetched && (await events.first(event.roomId))?.eventId !== event.eventId) return event;
  }
  return undefined;
}

async function before(events: EventStore, page: readonly StoredEvent[]): Promise<Map<string, StoredEvent>> {
  const known = new Map(page.map((event) => [event.eventId, event]));
  const others = page.flatMap(({ pdu }) => pdu.prev_events).filter((id) => !known.has(id));
  for (const [id, event] of others.length === 0 ? [] : await events.getMany(new Set(others))) known.set(id, event);
  return known;
}
