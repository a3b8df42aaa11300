/** Fills the gap between our newest events and one that has just come: what lies between is fetched, oldest first stored. */
import type { Logger } from 'pino';
import { stateKey } from '../../../federation/auth-rules.ts';
import { BadEventError, eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { EventStore } from './event-store.ts';
import type { IncompleteRooms } from './incomplete-rooms.ts';
import type { Room } from './room.ts';
import type { StateStore } from './state-store.ts';
import type { SuppliedPlacing } from './supplied-placing.ts';
import { UnknownPlaceError } from './supply.ts';
import type { Supply } from './supply.ts';

/** Most events asked for at once to fill the gap before an event; others cap it there. */
const GAP_LIMIT = 20;
/** A longer gap is filled page by page, up to this many. What is then still missing stays a hole in the history. */
const BACKFILL_ROUNDS = 5;
const BACKFILL_LIMIT = 100;
const MAX_BACKFILL_FROM = 20;

export interface GapFillingDeps {
  readonly events: EventStore;
  readonly states: StateStore;
  readonly incomplete: IncompleteRooms;
  readonly placing: SuppliedPlacing;
  readonly log: Logger;
}

export class GapFilling {
  readonly #deps: GapFillingDeps;

  constructor(deps: GapFillingDeps) {
    this.#deps = deps;
  }

  /**
   * Fetches what lies between our newest events and this one, and stores it oldest first.
   *
   * @returns events that are from before we came in, and were not stored
   */
  async fill(room: Room, pdu: Pdu, id: string, origin: string, supply: Supply): Promise<Set<string>> {
    const fetched = new Map<string, Pdu>();
    for (const server of supply.servers) {
      const events = await supply.missingEvents(server, room.extremities, id, GAP_LIMIT);
      for (const event of events) fetched.set(eventId(event, room.version), event);
      // Who sends an event need not have all that came before it.
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
          'an event of a gap was left out',
        );
      }
    }
    return older;
  }

  /** After a long outage the gap is larger than one answer: goes on to what we know, but not to before we came in. */
  async #fetchFurther(room: Room, pdu: Pdu, fetched: Map<string, Pdu>, supply: Supply): Promise<void> {
    for (let round = 0; round < BACKFILL_ROUNDS; round++) {
      const wanted = (await this.#open(room, [pdu, ...fetched.values()], fetched)).slice(0, MAX_BACKFILL_FROM);
      if (wanted.length === 0 || !(await this.#fetchOlder(room, wanted, fetched, supply))) return;
    }
  }

  /** Asks one server after the other for some events and what came before them. @returns whether one gave any */
  async #fetchOlder(
    room: Room,
    wanted: readonly string[],
    fetched: Map<string, Pdu>,
    supply: Supply,
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

  /** What some events cite and nobody has given yet, but not from before we came in. */
  async #open(room: Room, pdus: readonly Pdu[], fetched: ReadonlyMap<string, Pdu>): Promise<string[]> {
    const floor = await this.floor(room);
    const later = pdus.filter(({ depth }) => depth > floor + 1);
    const cited = new Set(later.flatMap((event) => event.prev_events));
    return this.#deps.events.withoutPlace([...cited].filter((prev) => !fetched.has(prev)));
  }

  /**
   * Whether a state event, however near to the beginning of the room, is none of those that led to our join: when lines
   * are down, a branch of the room may be shorter than the one that we came in by. If it was one of them, the state at
   * our join would hold it, or what replaced it.
   */
  async #isNews({ roomId }: Room, id: string, { type, state_key: key, depth }: Pdu): Promise<boolean> {
    const { events, states, incomplete } = this.#deps;
    // As long as memberships are missing there, that they are says nothing.
    if (incomplete.find(roomId)) return false;
    const entry = await events.entry(roomId);
    if (key === undefined || entry?.stateBefore === undefined || depth >= entry.pdu.depth) return false;
    const then = (await states.read(entry.stateBefore)).map.get(stateKey(type, key));
    if (then === undefined || then === id) return then === undefined;
    return ((await events.get(then))?.pdu.depth ?? 0) < depth;
  }

  /**
   * The depth at which what is news to us begins: that of the create event, or of the join that brought us in. Where all
   * of ours had left, it is the join by which we came back: what was said meanwhile is history like what was said before
   * we came in first. Judged by the state now, much of it would be hidden, and its ends would change that state.
   */
  async floor({ roomId }: Room): Promise<number> {
    return (await this.#deps.events.entry(roomId))?.pdu.depth ?? 0;
  }
}

/** Those of some events that come before an event, with their ids, oldest first. */
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
