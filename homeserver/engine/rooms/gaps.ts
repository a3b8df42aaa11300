/** Holes in the history that we have: where nobody of ours was in the room, or what came before was not given. */
import { isCreate } from '../../../federation/event.ts';
import { isHidden } from './event-store.ts';
import type { EventStore, StoredEvent } from './event-store.ts';

/** Most hidden events that are looked through for what stands before a shown one. */
const MAX_HIDDEN = 1_000;

/** The first of some events right before which history is missing. @param skip ids of events that are not looked at */
export async function firstGap(
  events: EventStore,
  page: readonly StoredEvent[],
  skip?: ReadonlySet<string>,
): Promise<StoredEvent | undefined> {
  const known = await before(events, page);
  return page.find((event) => skip?.has(event.eventId) !== true && brinks(event, known).length > 0);
}

/**
 * The events right before which history is missing when it is missing before a shown one: that itself, or hidden ones
 * that it comes after.
 */
export async function gapsBefore(events: EventStore, event: StoredEvent): Promise<string[]> {
  return brinks(event, await before(events, [event])).map(({ eventId }) => eventId);
}

/**
 * The first of some events, newest first in the order of the stream, that does not follow on from what stands before it
 * there: history is missing, or it was fetched later and so stands at the beginning of the stream. Before the first
 * event of the live history that is the right place for it.
 */
export async function firstBreak(events: EventStore, page: readonly StoredEvent[]): Promise<StoredEvent | undefined> {
  const known = await before(events, page);
  for (const event of page) {
    if (brinks(event, known).length > 0) return event;
    const previous = withHidden(event, known).flatMap(({ pdu }) => pdu.prev_events.map((id) => known.get(id)));
    const wasFetched = event.position > 0 && previous.some((one) => one !== undefined && one.position < 0);
    if (wasFetched && (await events.first(event.roomId))?.eventId !== event.eventId) return event;
  }
  return undefined;
}

/** Those of an event and the hidden ones before it that cite what we do not have. */
function brinks(event: StoredEvent, known: ReadonlyMap<string, StoredEvent>): StoredEvent[] {
  return withHidden(event, known).filter(
    ({ pdu }) => !isCreate(pdu) && pdu.prev_events.some((id) => known.get(id)?.outlier !== false),
  );
}

/** An event, and the hidden ones that it comes after. */
function withHidden(event: StoredEvent, known: ReadonlyMap<string, StoredEvent>): StoredEvent[] {
  const found = new Map([[event.eventId, event]]);
  for (const one of found.values()) {
    for (const id of one.pdu.prev_events) {
      const previous = known.get(id);
      if (previous && isHidden(previous) && found.size <= MAX_HIDDEN) found.set(id, previous);
    }
  }
  return [...found.values()];
}

/** Some events and what we have of those right before them, and before hidden ones among those. */
async function before(events: EventStore, page: readonly StoredEvent[]): Promise<Map<string, StoredEvent>> {
  const known = new Map(page.map((event) => [event.eventId, event]));
  let edge: readonly StoredEvent[] = page;
  for (let hidden = 0; edge.length > 0 && hidden <= MAX_HIDDEN; hidden += edge.length) {
    const wanted = new Set(edge.flatMap(({ pdu }) => pdu.prev_events).filter((id) => !known.has(id)));
    if (wanted.size === 0) break;
    const found = await events.getMany(wanted);
    for (const [id, event] of found) known.set(id, event);
    edge = [...found.values()].filter(isHidden);
  }
  return known;
}
