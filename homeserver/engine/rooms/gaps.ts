/** Gaps in our history: where no user of ours was in the room, or the past was not provided. */
import { isCreate } from '../../../federation/event.ts';
import { isHidden } from './event-store.ts';
import type { EventStore, StoredEvent } from './event-store.ts';

/** Most hidden events that are looked through to find what is before a visible one. */
const MAX_HIDDEN = 1_000;

/**
 * The first of the events right before which history is missing. @param skip ids of events to ignore
 *
 * @param skip ids of events that are not looked at
 */
export async function firstGap(
  events: EventStore,
  page: readonly StoredEvent[],
  skip?: ReadonlySet<string>,
): Promise<StoredEvent | undefined> {
  const known = await before(events, page);
  return page.find((event) => skip?.has(event.eventId) !== true && gapEdges(event, known).length > 0);
}

/**
 * The events right before which history is missing, if any is missing before a visible event: that event itself, or
 * hidden ones in its past.
 */
export async function gapsBefore(events: EventStore, event: StoredEvent): Promise<string[]> {
  return gapEdges(event, await before(events, [event])).map(({ eventId }) => eventId);
}

/**
 * The first of the events (newest first, in stream order) that does not directly follow the one before it in the
 * stream: history is missing, or was backfilled and so is at the beginning of the stream. Before the first live event
 * that is the right place for it.
 */
export async function firstBreak(events: EventStore, page: readonly StoredEvent[]): Promise<StoredEvent | undefined> {
  const known = await before(events, page);
  for (const event of page) {
    if (gapEdges(event, known).length > 0) return event;
    const previous = withHidden(event, known).flatMap(({ pdu }) => pdu.prev_events.map((id) => known.get(id)));
    const wasFetched = event.position > 0 && previous.some((one) => one !== undefined && one.position < 0);
    if (wasFetched && (await events.first(event.roomId))?.eventId !== event.eventId) return event;
  }
  return undefined;
}

/** Of an event and the hidden ones before it, those that reference missing events. */
function gapEdges(event: StoredEvent, known: ReadonlyMap<string, StoredEvent>): StoredEvent[] {
  return withHidden(event, known).filter(
    ({ pdu }) => !isCreate(pdu) && pdu.prev_events.some((id) => known.get(id)?.outlier !== false),
  );
}

/** An event and the hidden events in its past. */
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

/** The events and their previous events, as far as we have them, looking through hidden ones. */
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
