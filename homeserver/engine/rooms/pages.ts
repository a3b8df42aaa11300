/**
 * Pages of a room's history, by depth: in the order in which things happened, whenever we learned of them. Where
 * history is missing, because nobody of ours was in the room, it is fetched on the way.
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
  /** Chooses among events, which come in the order of the page. */
  readonly wanted?: (events: StoredEvent[]) => StoredEvent[] | Promise<StoredEvent[]>;
}

export interface Page {
  readonly events: StoredEvent[];
  readonly start: string;
  /** Where the next page begins; absent when there is nothing more. */
  readonly end?: string;
  /** The place after the page, even if there is nothing. */
  readonly next: string;
}

export interface PagesDeps {
  readonly events: EventStore;
  /** Fetches what came before an event. */
  readonly fillGap: (event: StoredEvent) => Promise<Fetched>;
}

/** Events read at once, and at most for one page, when only some of them are wanted. */
const FILTERED_BATCH = 50;
const MAX_LOOKED_AT = 10_000;
/** How often history is fetched for one page. */
const MAX_FILLS = 5;

/**
 * @param upTo the newest stream position
 * @param mayBeSeen whether the reader may see an event
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
    // What the last page ended with may have a gap before it.
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
      // Whoever may see little of what is fetched goes on with the next page.
      if (fills++ >= MAX_FILLS) break;
      const fetched = await deps.fillGap(gap);
      // Whoever goes on from here has it tried again; only when that fails as well is the page about what is older.
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

/** Fetches what came before the event right after a place, if that is not known. */
async function fillBefore(deps: PagesDeps, roomId: string, place: Place, unfilled: Set<string>): Promise<void> {
  const { events } = deps;
  const [above] =
    place.depth === undefined
      ? await events.range(roomId, { after: place.position - 1, newestFirst: false, limit: 1 })
      : await events.page(roomId, { after: place, newestFirst: false, limit: 1 });
  const gap = above && (await firstGap(events, [above], unfilled));
  if (gap && (await deps.fillGap(gap)) !== 'filled') unfilled.add(gap.eventId);
}
