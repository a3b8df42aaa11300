/** The newest events of a room that a user may see and that pass the filter, for a timeline in `/sync`. */
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { passes } from '../client/event-filter.ts';
import type { SectionFilter } from './filter.ts';

export interface TimelineRange {
  readonly roomId: string;
  readonly userId: string;
  /** Exclusive; undefined for the newest events. */
  readonly after: number | undefined;
  /** Inclusive. */
  readonly upTo: number;
  readonly filter: SectionFilter | null | undefined;
  readonly ignored: ReadonlySet<string>;
}

export interface TimelinePage {
  /** Oldest first. */
  readonly events: StoredEvent[];
  /** Whether there are more events after `after`, or some are missing there. */
  readonly limited: boolean;
  /** The token for `/messages` to page back from these events. */
  readonly before: string;
  /** The greatest depth of the events read before these. */
  readonly depthBefore: number;
}

/** The default limit. */
const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 100;
/** Most events read for one timeline, however few pass the filter. */
const MAX_LOOKED_AT = 1_000;

/** @returns undefined when the user may no longer see the room */
export async function timelinePage(rooms: Rooms, range: TimelineRange): Promise<TimelinePage | undefined> {
  const { roomId, userId, after, upTo, filter, ignored } = range;
  const standing = await rooms.standing(roomId, userId);
  if (!standing) return undefined;
  const limit = Math.min(filter?.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
  const events: StoredEvent[] = [];
  let before = upTo + 1;
  let lookedAt = 0;
  const done = (limited: boolean, older: readonly StoredEvent[] = []): TimelinePage => ({
    events: events.reverse(),
    limited,
    before: token(before),
    depthBefore: Math.max(0, ...older.map((event) => event.pdu.depth)),
  });
  for (;;) {
    const size = Math.min(Math.max(2 * limit, 20), 200);
    const page = await rooms.range(roomId, {
      ...(after === undefined ? {} : { after }),
      before,
      newestFirst: true,
      limit: size,
    });
    const wanted = page.filter((event) => (!filter || passes(filter, event)) && !isIgnored(event, ignored));
    const shown = new Set(await rooms.visibleTo(standing, roomId, userId, wanted));
    // A timeline never spans a gap: clients request what is missing, as when there are too many events.
    const broken = await rooms.firstBreak(page);
    for (const [index, event] of page.entries()) {
      if (shown.has(event)) {
        if (events.length === limit) return done(true, page.slice(index));
        events.push(event);
      }
      before = event.position;
      if (event === broken) return done(true, page.slice(index + 1));
    }
    lookedAt += page.length;
    if (page.length < size) return done(false);
    if (lookedAt >= MAX_LOOKED_AT) return done(true);
  }
}

/** State events of ignored users are kept: the state would be wrong without them. */
function isIgnored(event: StoredEvent, ignored: ReadonlySet<string>): boolean {
  return event.pdu.state_key === undefined && ignored.has(event.pdu.sender);
}

/** @see relations/tokens.ts */
function token(position: number): string {
  return `p${String(position)}`;
}
