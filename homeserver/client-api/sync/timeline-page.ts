/** The newest events of a room that a user may see and wants to see, for a timeline in `/sync`. */
import type { Rooms, StoredEvent } from '../../rooms/rooms.ts';
import { passes } from '../event-filter.ts';
import type { SectionFilter } from './filter.ts';

export interface TimelineRange {
  readonly roomId: string;
  readonly userId: string;
  /** Exclusive; undefined for the newest of all. */
  readonly after: number | undefined;
  /** Inclusive. */
  readonly upTo: number;
  readonly filter: SectionFilter | null | undefined;
  readonly ignored: ReadonlySet<string>;
}

export interface TimelinePage {
  /** Oldest first. */
  readonly events: StoredEvent[];
  /** Whether there are more before these, after `after`. */
  readonly limited: boolean;
  /** Token for `/messages`: what comes before the events. */
  readonly before: string;
}

/** As many as clients get when they name no limit. */
const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 100;
/** Events looked at for one timeline, however few of them pass the filter. */
const MAX_LOOKED_AT = 1_000;

export async function timelinePage(rooms: Rooms, range: TimelineRange): Promise<TimelinePage> {
  const { roomId, userId, after, upTo, filter, ignored } = range;
  const limit = Math.min(filter?.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
  const events: StoredEvent[] = [];
  let before = upTo + 1;
  let lookedAt = 0;
  for (;;) {
    const size = Math.min(Math.max(2 * limit, 20), 200);
    const page = await rooms.range(roomId, {
      ...(after === undefined ? {} : { after }),
      before,
      newestFirst: true,
      limit: size,
    });
    const wanted = page.filter((event) => (!filter || passes(filter, event)) && !isIgnored(event, ignored));
    const shown = new Set(await rooms.visibleAmong(roomId, userId, wanted));
    for (const event of page) {
      if (shown.has(event)) {
        if (events.length === limit) return { events: events.reverse(), limited: true, before: token(before) };
        events.push(event);
      }
      before = event.position;
    }
    lookedAt += page.length;
    if (page.length < size) return { events: events.reverse(), limited: false, before: token(before) };
    if (lookedAt >= MAX_LOOKED_AT) return { events: events.reverse(), limited: true, before: token(before) };
  }
}

/** State is never hidden: the room would not be what it is. */
function isIgnored(event: StoredEvent, ignored: ReadonlySet<string>): boolean {
  return event.pdu.state_key === undefined && ignored.has(event.pdu.sender);
}

/** @see relations/tokens.ts */
function token(position: number): string {
  return `p${String(position)}`;
}
