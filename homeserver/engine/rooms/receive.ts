/**
 * Events from other servers. Format, hash and signatures were checked by whoever fetched or received them. What an event
 * lacks is fetched outside the room's turn; in the turn it is looked at again, judged and stored.
 *
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU"
 */
import type { Logger } from 'pino';
import { EVENT_PATIENCE_MS } from '../../base/limits.ts';
import { stateKey } from '../../../federation/auth-rules.ts';
import { BadEventError, eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { EventStore } from './event-store.ts';
import type { ForkBudget } from './fork-budget.ts';
import { HeldBack } from './held-back.ts';
import type { IncompleteRooms } from './incomplete-rooms.ts';
import type { InTurn } from './in-turn.ts';
import type { Members } from './members.ts';
import type { Outliers } from './outliers.ts';
import { takenElsewhere, tooManyForks } from './placing.ts';
import type { Need, Placing, Site } from './placing.ts';
import type { RemoteGraph, RemoteState } from './ports.ts';
import type { Room } from './room.ts';
import type { StateStore } from './state-store.ts';
import type { StoredEvent } from './stored-event.ts';
import { REQUESTS_AT_ONCE, Supply, UnknownPlaceError } from './supply.ts';
import type { Askers } from './supply.ts';

/** Most events asked for at once to fill the gap before an event; others cap it there. */
const GAP_LIMIT = 20;
/** A longer gap is filled page by page, up to this many. What is then still missing stays a hole in the history. */
const BACKFILL_ROUNDS = 5;
const BACKFILL_LIMIT = 100;
const MAX_BACKFILL_FROM = 20;
/** Most auth events fetched one by one for one event. */
const AUTH_FETCH_LIMIT = 100;
/** How often an event is looked at in the room's turn: once, and after each kind of what it may lack. */
const LOOKS = 5;
/** How long other servers are asked, in ms: for an event that has come just now, and for one that is tried again. */
const PATIENCE_MS = { now: EVENT_PATIENCE_MS, again: 60_000 };
/** For a page of history, in ms. */
const HISTORY_PATIENCE_MS = 30_000;

export interface ReceiverDeps {
  readonly serverName: string;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly members: Members;
  readonly incomplete: IncompleteRooms;
  readonly outliers: Outliers;
  readonly placing: Placing;
  readonly forks: ForkBudget;
  readonly askers: Askers;
  readonly remoteGraph: () => RemoteGraph;
  readonly inTurn: InTurn;
  readonly log: Logger;
}

/** `now`: what the last event of the server needed may have been asked for a moment ago; `again`: patiently. */
export type Urgency = 'now' | 'again';

export class Receiver {
  readonly #deps: ReceiverDeps;
  readonly #heldBack = new HeldBack();

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  /**
   * Stores an event of another server. Not to be called in the room's turn.
   *
   * @param origin the server that sent it, asked first for what is missing
   * @returns the event as stored; look at `rejected` and `softFailed`
   * @throws UnknownPlaceError when what it needs is not to be had now
   */
  async receive(room: Room, pdu: Pdu, origin: string, urgency: Urgency): Promise<StoredEvent> {
    const { roomId } = room;
    const isHeld = urgency === 'now' && this.#heldBack.has(roomId, origin);
    const supply = await this.#supply(room, origin, PATIENCE_MS[urgency], isHeld);
    try {
      const stored = await this.#receive(room, pdu, origin, supply);
      if (supply.hasAsked) this.#heldBack.succeeded(roomId, origin);
      return stored;
    } catch (error) {
      if (error instanceof UnknownPlaceError && supply.hasAsked) this.#heldBack.failed(roomId, origin);
      throw error;
    }
  }

  async #receive(room: Room, pdu: Pdu, origin: string, supply: Supply): Promise<StoredEvent> {
    const { events } = this.#deps;
    const id = eventId(pdu, room.version);
    const known = await events.get(id);
    if (known?.outlier === false && known.roomId === room.roomId) return known;
    if (known && known.roomId !== room.roomId) throw takenElsewhere(id);
    // What was said before we came in, or while we did, is put in its place without the history that led to it: that is
    // no news, and is fetched when somebody looks for it.
    const hasGap = (await events.withoutPlace(pdu.prev_events)).length > 0;
    if (hasGap && pdu.depth > (await this.#floor(room))) {
      if (this.#deps.forks.isUsedUp(room.roomId, origin)) throw tooManyForks();
      const older = await this.#fillGap(room, pdu, id, origin, supply);
      // Who sends an event has to have what came before it. To take it without would let anybody cut our history.
      if ((await events.withoutPlace(pdu.prev_events)).some((prev) => !older.has(prev))) {
        throw new UnknownPlaceError(`What came before ${id} was not given.`);
      }
    }
    return this.#place(room, pdu, { kind: 'news', origin }, supply);
  }

  /**
   * Stores history from before the oldest event that we have. Not to be called in the room's turn.
   *
   * @param pdus as another server gave them
   * @param nextPosition gives ever lower positions
   */
  async storeHistory(room: Room, pdus: readonly Pdu[], origin: string, nextPosition: () => number): Promise<number> {
    const fresh = new Map<string, Pdu>();
    for (const pdu of pdus) fresh.set(eventId(pdu, room.version), pdu);
    const known = await this.#deps.events.getMany(fresh.keys());
    for (const [id, event] of known) if (!event.outlier) fresh.delete(id);
    const newestFirst = [...fresh.values()].sort((a, b) => b.depth - a.depth);
    const placed = newestFirst.map((pdu) => ({ pdu, position: nextPosition() }));
    const supply = await this.#supply(room, origin, HISTORY_PATIENCE_MS, false);
    let stored = 0;
    for (const { pdu, position } of placed.reverse()) {
      try {
        await this.#place(room, pdu, { kind: 'history', position }, supply);
        stored += 1;
      } catch (error) {
        if (!(error instanceof UnknownPlaceError || error instanceof BadEventError)) throw error;
      }
    }
    return stored;
  }

  async #supply(room: Room, origin: string, patienceMs: number, heldBack: boolean): Promise<Supply> {
    const { members, serverName, remoteGraph, log } = this.#deps;
    const others = [...(await members.servers(room.roomId))].filter((server) => server !== serverName);
    const { askers } = this.#deps;
    const servers = askers.order([origin, ...others]);
    return new Supply({ room, remoteGraph, askers, servers, patienceMs, heldBack, log });
  }

  /** Puts an event in its place, with what it needs for that fetched between the turns. */
  async #place(room: Room, pdu: Pdu, site: Site, supply: Supply): Promise<StoredEvent> {
    const { inTurn, placing } = this.#deps;
    for (let look = 0; look < LOOKS; look += 1) {
      const placed = await inTurn(room.roomId, (present) => placing.place(present, pdu, site, supply), 'foreign');
      if ('stored' in placed) return placed.stored;
      if (site.kind === 'history' && placed.need.kind === 'states') {
        await this.#historicState(room, eventId(pdu, room.version), placed.need, supply);
      } else await this.#get(room, placed.need, supply);
    }
    throw new UnknownPlaceError('What it needs changed again and again.');
  }

  /**
   * The states after what comes before an event of the history, or the one before it. Who came in by the event knows that,
   * but nothing of what came before, and the others need not let us see it any more.
   */
  async #historicState(room: Room, id: string, need: Need, supply: Supply): Promise<void> {
    try {
      await this.#get(room, need, supply);
    } catch (error) {
      if (!(error instanceof UnknownPlaceError)) throw error;
      supply.before.set(id, { eventIds: await this.#storeState(room, await supply.stateBefore(id)) });
    }
  }

  /** @returns the ids of its events */
  async #storeState(room: Room, { state, authChain }: RemoteState, own?: Pdu): Promise<string[]> {
    await this.#storeOutliers(room, [...authChain, ...state, ...(own ? [own] : [])]);
    return state.map((event) => eventId(event, room.version));
  }

  /** @throws UnknownPlaceError when it is not to be had */
  async #get(room: Room, need: Need, supply: Supply): Promise<void> {
    switch (need.kind) {
      case 'states':
        for (const id of need.after) {
          const given = await supply.stateBefore(id);
          const own = await supply.event(id);
          supply.after.set(id, { eventIds: await this.#storeState(room, given, own), own });
        }
        return;
      case 'authority': {
        await this.#storeOutliers(room, await this.#authority(need.eventIds, supply));
        const cited = await this.#deps.events.getMany(need.eventIds);
        if (need.eventIds.some((id) => !cited.has(id))) {
          throw new UnknownPlaceError('Some of the events that authorise it were not given.');
        }
      }
    }
  }

  /** Some events that authorise another, and what authorises these. */
  async #authority(eventIds: readonly string[], supply: Supply): Promise<Pdu[]> {
    const fetched: Pdu[] = [];
    const seen = new Set<string>();
    let wanted = [...eventIds];
    while (wanted.length > 0 && seen.size < AUTH_FETCH_LIMIT) {
      const some = wanted.splice(0, REQUESTS_AT_ONCE);
      for (const id of some) seen.add(id);
      const given = await Promise.all(some.map((id) => supply.event(id)));
      const pdus = given.filter((pdu) => pdu !== undefined);
      fetched.push(...pdus);
      const cited = new Set([...wanted, ...pdus.flatMap((pdu) => pdu.auth_events)].filter((id) => !seen.has(id)));
      const stored = await this.#deps.events.getMany(cited);
      wanted = [...cited].filter((id) => !stored.has(id));
    }
    return fetched;
  }

  async #storeOutliers({ roomId, version }: Room, pdus: readonly Pdu[]): Promise<void> {
    await this.#deps.outliers.storeInTurns(version, pdus, (task) => this.#deps.inTurn(roomId, task, 'foreign'));
  }

  /**
   * Fetches what lies between our newest events and this one, and stores it oldest first.
   *
   * @returns events that are from before we came in, and were not stored
   */
  async #fillGap(room: Room, pdu: Pdu, id: string, origin: string, supply: Supply): Promise<Set<string>> {
    const fetched = new Map<string, Pdu>();
    for (const server of supply.servers) {
      const events = await supply.missingEvents(server, room.extremities, id, GAP_LIMIT);
      for (const event of events) fetched.set(eventId(event, room.version), event);
      // Who sends an event need not have all that came before it.
      if ((await this.#open(room, [pdu, ...fetched.values()], fetched)).length === 0) break;
    }
    await this.#fetchFurther(room, pdu, fetched, supply);
    const floor = await this.#floor(room);
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
        await this.#place(room, event, { kind: 'gap', origin }, supply);
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
  async #floor({ roomId }: Room): Promise<number> {
    return (await this.#deps.events.entry(roomId))?.pdu.depth ?? 0;
  }

  /** What some events cite and nobody has given yet, but not from before we came in. */
  async #open(room: Room, pdus: readonly Pdu[], fetched: ReadonlyMap<string, Pdu>): Promise<string[]> {
    const floor = await this.#floor(room);
    const later = pdus.filter(({ depth }) => depth > floor + 1);
    const cited = new Set(later.flatMap((event) => event.prev_events));
    return this.#deps.events.withoutPlace([...cited].filter((prev) => !fetched.has(prev)));
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
    const floor = await this.#floor(room);
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
