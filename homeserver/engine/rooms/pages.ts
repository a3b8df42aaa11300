/**
 * Pages of a room's history, ordered by depth, that is by when things happened, not when we received them. Missing
 * history is backfilled on the way.
 */
import { placeAfter, placeBefore, readPlace, tokenOf } from '../stream/tokens.ts';
import type { Place } from '../stream/tokens.ts';
import type { Fetched } from './backfill.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import { firstGap } from './gaps.ts';

export interface PageQuery {
  /** Pagination tokens. */
  readonly from?: string;
  readonly to?: string;
  readonly dir: 'b' | 'f';
  readonly limit: number;
  /** Filters the events of a page, in page order. */
  readonly wanted?: (events: StoredEvent[]) => StoredEvent[] | Promise<StoredEvent[]>;
}

export interface Page {
  readonly events: StoredEvent[];
  readonly start: string;
  /** The token for the next page; absent when there is nothing more. */
  readonly end?: string;
  /** The token after the page, even if there is nothing more. */
  readonly next: string;
}

export interface PagesDeps {
  readonly events: EventStore;
  /** Fetches history before an event. */
  readonly fillGap: (event: StoredEvent) => Promise<Fetched>;
}

/** Events read at once and at most for one page, when a filter applies. */
const FILTERED_BATCH = 50;
const MAX_LOOKED_AT = 10_000;
/** How often history is backfilled for one page. */
const MAX_FILLS = 5;

/**
 * @param upTo the current stream position
 * @param mayBeSeen whether the user may see an event
 * @throws MatrixError 400 for a token that is not ours
 */
export async function readPage(
  deps: PagesDeps,
  roomId: string,
  query: PageQuery,
  upTo: number,
  mayBeSeen: (event: StoredEvent) => Promise<boolean>,
): Promise<Page> {
  const back = query.dir === 'b';
  const from = query.from === undefined ? undefined : readPlace(query.from);
  const to = query.to === undefined ? undefined : readPlace(query.to);
  const beginning: Place = back ? { position: upTo + 1 } : { position: Number.MIN_SAFE_INTEGER };
  let at = from ?? beginning;
  const batch = query.wanted ? Math.max(query.limit, FILTERED_BATCH) : query.limit;
  const events: StoredEvent[] = [];
  const unfilled = new Set<string>();
  let ended = false;
  let fills = 0;
  for (let looked = 0; events.length < query.limit && looked < MAX_LOOKED_AT && !ended; looked += batch) {
    // There may be a gap before the last event of the previous page.
    if (back && looked === 0 && from !== undefined) await fillBefore(deps, roomId, at, unfilled);
    const read = await deps.events.page(roomId, {
      ...(back ? { before: at } : { after: at }),
      ...(to === undefined ? {} : back ? { after: to } : { before: to }),
      newestFirst: back,
      limit: batch,
    });
    const gap = back ? await firstGap(deps.events, read, unfilled) : undefined;
    const page = gap === undefined ? read : read.slice(0, read.indexOf(gap) + 1);
    const chosen = new Set(query.wanted ? await query.wanted(page) : page);
    let done = page.length === 0;
    for (const event of page) {
      if (events.length >= query.limit) break;
      done = event === page.at(-1);
      at = back ? placeBefore(event) : placeAfter(event);
      if (chosen.has(event) && (await mayBeSeen(event))) events.push(event);
    }
    if (!done) break;
    if (gap === undefined) ended = read.length < batch;
    else if (events.length < query.limit) {
      // A user who may see little of what was fetched continues with the next page.
      if (fills++ >= MAX_FILLS) break;
      const fetched = await deps.fillGap(gap);
      // The next page tries again; only if that fails too does it return what is older.
      if (fetched === 'failed' && events.length > 0) break;
      if (fetched !== 'filled') unfilled.add(gap.eventId);
    }
  }
  const next = tokenOf(at.position === Number.MIN_SAFE_INTEGER ? { position: 0 } : at);
  return {
    events,
    start: query.from ?? tokenOf(back ? beginning : { position: 0 }),
    ...(ended ? {} : { end: next }),
    next,
  };
}

/** Backfills history before the event right after a place, if it is missing. */
async function fillBefore(deps: PagesDeps, roomId: string, place: Place, unfilled: Set<string>): Promise<void> {
  const { events } = deps;
  const [above] =
    place.depth === undefined
      ? await events.range(roomId, { after: place.position - 1, newestFirst: false, limit: 1 })
      : await events.page(roomId, { after: place, newestFirst: false, limit: 1 });
  const gap = above && (await firstGap(events, [above], unfilled));
  if (gap && (await deps.fillGap(gap)) !== 'filled') unfilled.add(gap.eventId);
}
