/** The events around an event that a user may see. */
import type { RoomViews } from '../../engine/rooms/room-views.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import { placeAfter, placeBefore, tokenOf } from '../../engine/stream/tokens.ts';

export interface Around {
  /** Newest first. */
  readonly before: StoredEvent[];
  /** Oldest first. */
  readonly after: StoredEvent[];
  /** The token before all of them. */
  readonly start: string;
  /** The token after all of them. */
  readonly end: string;
}

/**
 * @param query how many events to return on either side, and the filter
 *
 * @param query how many events are wanted on either side, and which
 */
export async function around(
  rooms: RoomViews,
  event: StoredEvent,
  userId: string,
  query: {
    before: number;
    after: number;
    wanted?: (events: StoredEvent[]) => StoredEvent[] | Promise<StoredEvent[]>;
  },
): Promise<Around> {
  const { roomId } = event;
  const wanted = query.wanted === undefined ? {} : { wanted: query.wanted };
  const before = await rooms.messages(roomId, userId, {
    from: tokenOf(placeBefore(event)),
    dir: 'b',
    limit: query.before,
    ...wanted,
  });
  const after = await rooms.messages(roomId, userId, {
    from: tokenOf(placeAfter(event)),
    dir: 'f',
    limit: query.after,
    ...wanted,
  });
  return {
    before: before.events,
    after: after.events,
    start: tokenOf(placeBefore(before.events.at(-1) ?? event)),
    end: tokenOf(placeAfter(after.events.at(-1) ?? event)),
  };
}
