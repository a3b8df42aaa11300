/**
 * Fills the gap between our forward extremities and a new event: fetches the events in between and stores them, oldest
 * first.
 */
import type { Logger } from 'pino';
import { stateKey } from '../../../federation/auth-rules.ts';
import { BadEventError, eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { EventStore } from './event-store.ts';
import type { PartialStateRooms } from './partial-state-rooms.ts';
import type { Room } from './room.ts';
import type { StateStore } from './state-store.ts';
import type { FetchAndPlace } from './fetch-and-place.ts';
import { UnknownPlaceError } from './dependency-fetcher.ts';
import type { DependencyFetcher } from './dependency-fetcher.ts';

/** Most events requested at once to fill a gap; other servers cap it there. */
const GAP_LIMIT = 20;
/**
 * A longer gap is backfilled page by page, up to this many pages. What is then still missing stays a gap in the
 * history.
 */
const BACKFILL_ROUNDS = 5;
const BACKFILL_LIMIT = 100;
const MAX_BACKFILL_FROM = 20;

export interface GapFillingDeps {
  readonly events: EventStore;
  readonly states: StateStore;
  readonly incomplete: PartialStateRooms;
  readonly placing: FetchAndPlace;
  readonly log: Logger;
}

export class GapFilling {
  readonly #deps: GapFillingDeps;

  constructor(deps: GapFillingDeps) {
    this.#deps = deps;
  }

  /**
   * Fetches the events between our forward extremities and this event, and stores them, oldest first.
   *
   * @returns ids of events from before we joined, which were not stored
   */
  async fill(room: Room, pdu: Pdu, id: string, origin: string, supply: DependencyFetcher): Promise<Set<string>> {
    const fetched = new Map<string, Pdu>();
    for (const server of supply.servers) {
      const events = await supply.missingEvents(server, room.extremities, id, GAP_LIMIT);
      for (const event of events) fetched.set(eventId(event, room.version), event);
      // The server that sends an event need not have all of its past.
      if ((await this.#open(room, [pdu, ...fetched.values()], fetched)).length === 0) break;
    }
    await this.#fetchFurther(room, pdu, fetched, supply);
    const floor = await this.floor(room);
    const older = new Set<string>();
    const news = new Set<string>();
    for (const [eventIdHere, event] of before(pdu, fetched)) {
      if (event.depth > pdu.depth) continue;
      const isNews = event.prev_events.some((prev) => news.has(prev)) || (await this.#isNews(room, eventIdHere, event));
      if (isNews) news.add(eventIdHere);
      else if (event.depth < floor) {
        older.add(eventIdHere);
        continue;
      }
      try {
        await this.#deps.placing.place(room, event, { kind: 'gap', origin }, supply);
      } catch (error) {
        if (!(error instanceof UnknownPlaceError || error instanceof BadEventError)) throw error;
        this.#deps.log.info(
          { err: error, roomId: room.roomId, eventId: eventIdHere },
          'an event of a gap could not be placed',
        );
      }
    }
    return older;
  }

  /**
   * After a long outage the gap exceeds one response: backfills until events that we know, but not to before we joined.
   */
  async #fetchFurther(room: Room, pdu: Pdu, fetched: Map<string, Pdu>, supply: DependencyFetcher): Promise<void> {
    for (let round = 0; round < BACKFILL_ROUNDS; round++) {
      const wanted = (await this.#open(room, [pdu, ...fetched.values()], fetched)).slice(0, MAX_BACKFILL_FROM);
      if (wanted.length === 0 || !(await this.#fetchOlder(room, wanted, fetched, supply))) return;
    }
  }

  /**
   * Tries one server after the other for some events and their past. @returns whether one had any
   *
   * @returns whether one gave any
   */
  async #fetchOlder(
    room: Room,
    wanted: readonly string[],
    fetched: Map<string, Pdu>,
    supply: DependencyFetcher,
  ): Promise<boolean> {
    const floor = await this.floor(room);
    const before = fetched.size;
    for (const server of supply.servers) {
      for (const event of await supply.backfill(server, wanted, BACKFILL_LIMIT)) {
        const id = eventId(event, room.version);
        if (event.depth > floor && (await this.#deps.events.get(id))?.outlier !== false) fetched.set(id, event);
      }
      if (fetched.size > before) return true;
    }
    return false;
  }

  /** Referenced events that are still missing, without those from before we joined. */
  async #open(room: Room, pdus: readonly Pdu[], fetched: ReadonlyMap<string, Pdu>): Promise<string[]> {
    const floor = await this.floor(room);
    const later = pdus.filter(({ depth }) => depth > floor + 1);
    const cited = new Set(later.flatMap((event) => event.prev_events));
    return this.#deps.events.withoutPlace([...cited].filter((prev) => !fetched.has(prev)));
  }

  /**
   * Whether a state event with a low depth is nevertheless not in the past of our join: during a partition, a branch of
   * the room may be shorter than the one through which we joined. If it was in our past, the state at our join would
   * have it, or what replaced it.
   */
  async #isNews({ roomId }: Room, id: string, { type, state_key: key, depth }: Pdu): Promise<boolean> {
    const { events, states, incomplete } = this.#deps;
    // With partial state, a membership that is missing there proves nothing.
    if (incomplete.find(roomId)) return false;
    const entry = await events.entry(roomId);
    if (key === undefined || entry?.stateBefore === undefined || depth >= entry.pdu.depth) return false;
    const then = (await states.read(entry.stateBefore)).map.get(stateKey(type, key));
    if (then === undefined || then === id) return then === undefined;
    return ((await events.get(then))?.pdu.depth ?? 0) < depth;
  }

  /**
   * The depth from which on events are new to us: that of the create event, or of our join from outside. If all our
   * users had left, that is the join by which we came back: what was sent meanwhile is history, like what was sent
   * before our first join. Checked against the current state, much of it would be soft-failed, and its extremities
   * would change that state.
   */
  async floor({ roomId }: Room): Promise<number> {
    return (await this.#deps.events.entry(roomId))?.pdu.depth ?? 0;
  }
}

/** Those of the fetched events that are in the past of an event, with their ids, oldest first. */
function before(pdu: Pdu, fetched: ReadonlyMap<string, Pdu>): [string, Pdu][] {
  const found = new Map<string, Pdu>();
  const edge = [...pdu.prev_events];
  for (let id = edge.pop(); id !== undefined; id = edge.pop()) {
    const event = fetched.get(id);
    if (!event || found.has(id)) continue;
    found.set(id, event);
    edge.push(...event.prev_events);
  }
  return [...found].sort(([, a], [, b]) => a.depth - b.depth);
}
