/**
 * Places an event of another server in the graph, using what we have and were given. Runs in the room's turn and sends
 * no requests: what is missing is returned, and the caller fetches it outside of the turn (`Receiver`).
 */
import { BadEventError, eventId, isCreate } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { Logger } from 'pino';
import type { Database } from '../../database/database.ts';
import type { EventStore } from './event-store.ts';
import { MAX_EXTREMITIES } from './extremities.ts';
import type { Extremities } from './extremities.ts';
import type { ForkBudget } from './fork-budget.ts';
import type { Judge, Verdict } from './judge.ts';
import type { Outliers } from './outliers.ts';
import type { Room } from './room.ts';
import type { StateResolver } from './state-resolver.ts';
import type { State, StateStore } from './state-store.ts';
import type { StoredEvent } from './stored-event.ts';
import { UnknownPlaceError } from './dependency-fetcher.ts';
import type { GivenStates } from './dependency-fetcher.ts';
import type { Timeline } from './timeline.ts';

export interface PlacingDeps {
  readonly db: Database;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly extremities: Extremities;
  readonly forks: ForkBudget;
  readonly outliers: Outliers;
  readonly judge: Judge;
  readonly resolver: StateResolver;
  readonly timeline: Timeline;
  readonly log: Logger;
}

/** What has to be fetched before an event can be placed. */
export type Need =
  /** Auth events, to be stored as outliers. */
  | { readonly kind: 'authority'; readonly eventIds: readonly string[] }
  /** The states after these events, of which we do not have the place. */
  | { readonly kind: 'states'; readonly after: readonly string[] };

export type Placed = { readonly stored: StoredEvent } | { readonly need: Need };

/** Where an event belongs: at the forward extremities, in a gap before such an event, or before all that we have. */
export type Site =
  /** `origin` is the server that sent the event, or the one after the gap. */
  | { readonly kind: 'news' | 'gap'; readonly origin: string }
  /** With the position that it gets in the stream. */
  | { readonly kind: 'history'; readonly position: number };

interface Ready {
  readonly stateBefore: State;
  readonly verdict: Verdict;
  readonly known: StoredEvent | undefined;
}

/** In room versions where servers choose event ids, two events may have the same id. */
export function takenElsewhere(id: string): BadEventError {
  return new BadEventError(`An event with the id ${id} exists in another room.`);
}

export function tooManyForks(): UnknownPlaceError {
  return new UnknownPlaceError('The server has forked the history of this room too often.');
}

export class Placing {
  readonly #deps: PlacingDeps;

  constructor(deps: PlacingDeps) {
    this.#deps = deps;
  }

  /**
   * @param given states fetched from other servers
   * @returns the stored event, or what is missing
   * @throws UnknownPlaceError when the room has too many extremities, or the server has used up its fork budget
   */
  async place(room: Room, pdu: Pdu, site: Site, given: GivenStates): Promise<Placed> {
    const { events, timeline, extremities, forks } = this.#deps;
    const id = eventId(pdu, room.version);
    const known = await events.get(id);
    if (known && known.roomId !== room.roomId) throw takenElsewhere(id);
    if (known && !known.outlier) return { stored: known };
    const prepared = await this.#prepare(room, pdu, known, given);
    if ('need' in prepared) return prepared;
    const { stateBefore, verdict } = prepared;
    if (site.kind === 'history') {
      const addition = { room, pdu, stateBefore, verdict: { ...verdict, softFailed: false }, known };
      return { stored: await timeline.addHistory(addition, site.position) };
    }
    const cost = forks.cost(room, stateBefore);
    if (site.kind === 'news' && cost > 0 && forks.isUsedUp(room.roomId, site.origin)) throw tooManyForks();
    // An event in a gap is an extremity only briefly; without it, what comes after it could not be placed.
    if (await extremities.overflow(room, id, pdu, site.kind === 'gap' ? MAX_EXTREMITIES * 5 : MAX_EXTREMITIES)) {
      throw new UnknownPlaceError(
        'The room has too many forward extremities, and no user of this server may merge them.',
      );
    }
    forks.use(room.roomId, site.origin, cost);
    if (verdict.reason !== undefined) {
      this.#deps.log.info({ roomId: room.roomId, eventId: id, ...verdict }, 'a remote event was not accepted');
    }
    return { stored: await timeline.add({ room, pdu, stateBefore, verdict, known }) };
  }

  async #prepare(
    room: Room,
    pdu: Pdu,
    known: StoredEvent | undefined,
    given: GivenStates,
  ): Promise<Ready | { need: Need }> {
    const { events, judge } = this.#deps;
    const id = eventId(pdu, room.version);
    const isKnown = isCreate(pdu) || given.before.has(id);
    const missing = isKnown ? [] : await events.withoutPlace(pdu.prev_events);
    const after = missing.filter((prev) => !given.after.has(prev));
    if (after.length > 0) return { need: { kind: 'states', after } };
    const cited = await events.getMany(pdu.auth_events);
    const eventIds = pdu.auth_events.filter((citedId) => !cited.has(citedId));
    if (eventIds.length > 0) return { need: { kind: 'authority', eventIds } };
    const stateBefore = await this.#stateBefore(room, pdu, missing, given);
    const verdict = await judge.judge(room, pdu, id, stateBefore);
    return { stateBefore, verdict, known };
  }

  /** @param missing the previous events that we lack; the states after them are given */
  async #stateBefore(room: Room, pdu: Pdu, missing: readonly string[], given: GivenStates): Promise<State> {
    const { db, outliers, resolver } = this.#deps;
    // A gap can extend back to the beginning of the room.
    if (isCreate(pdu)) return db.transaction((tx) => this.#deps.states.derive(tx, room.roomId, undefined, new Map()));
    const before = given.before.get(eventId(pdu, room.version));
    if (before) return outliers.stateOf(room, before.eventIds);
    if (missing.length === 0) return resolver.stateBefore(room, pdu.prev_events);
    const groups = new Set<number>();
    for (const id of missing) {
      const state = given.after.get(id);
      if (!state) continue;
      groups.add((await outliers.stateOf(room, state.eventIds, state.own && { id, pdu: state.own })).group);
    }
    const known = pdu.prev_events.filter((prev) => !missing.includes(prev));
    if (known.length > 0) groups.add((await resolver.stateBefore(room, known)).group);
    return resolver.merge(room, [...groups]);
  }
}
