/**
 * Receives events from other servers. Format, hash and signatures were checked by the caller. What an event depends on
 * is fetched outside of the room's turn; within it, the event is checked and stored.
 *
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU"
 */
import type { Logger } from 'pino';
import { BadEventError, eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { EVENT_PATIENCE_MS } from '../../base/limits.ts';
import type { EventStore } from './event-store.ts';
import type { ForkBudget } from './fork-budget.ts';
import type { GapFilling } from './gap-filling.ts';
import { FetchBackoff } from './fetch-backoff.ts';
import type { Members } from './members.ts';
import { takenElsewhere, tooManyForks } from './placing.ts';
import type { RemoteGraph } from './ports.ts';
import type { Room } from './room.ts';
import type { StoredEvent } from './stored-event.ts';
import type { FetchAndPlace } from './fetch-and-place.ts';
import { DependencyFetcher, UnknownPlaceError } from './dependency-fetcher.ts';
import type { FetchLimits } from './dependency-fetcher.ts';

/** Time limit for fetching what an event needs, in ms: for a new event, and for a retry. */
const PATIENCE_MS = { now: EVENT_PATIENCE_MS, again: 60_000 };
/** The same for a page of history, in ms. */
const HISTORY_PATIENCE_MS = 30_000;

export interface ReceiverDeps {
  readonly serverName: string;
  readonly events: EventStore;
  readonly members: Members;
  readonly placing: FetchAndPlace;
  readonly gaps: GapFilling;
  readonly forks: ForkBudget;
  readonly askers: FetchLimits;
  readonly remoteGraph: () => RemoteGraph;
  readonly log: Logger;
}

/** `now`: a new event, subject to back-off; `again`: a retry, with more patience. */
export type Urgency = 'now' | 'again';

export class Receiver {
  readonly #deps: ReceiverDeps;
  readonly #heldBack = new FetchBackoff();

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  /**
   * Stores an event of another server. Not to be called in the room's turn.
   *
   * @param origin the server that sent it; what is missing is requested there first
   * @returns the stored event, with `rejected` and `softFailed`
   * @throws UnknownPlaceError when what it needs cannot be fetched now
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

  async #receive(room: Room, pdu: Pdu, origin: string, supply: DependencyFetcher): Promise<StoredEvent> {
    const { events, gaps, forks } = this.#deps;
    const id = eventId(pdu, room.version);
    const known = await events.get(id);
    if (known?.outlier === false && known.roomId === room.roomId) return known;
    if (known && known.roomId !== room.roomId) throw takenElsewhere(id);
    // An event from before or during our join is placed without the history that leads to it: it is not new, and is
    // backfilled when somebody pages back to it.
    const hasGap = (await events.withoutPlace(pdu.prev_events)).length > 0;
    if (hasGap && pdu.depth > (await gaps.floor(room))) {
      if (forks.isUsedUp(room.roomId, origin)) throw tooManyForks();
      const older = await gaps.fill(room, pdu, id, origin, supply);
      // The sending server must have the event's past. Accepting it without would let anybody cut off our history.
      if ((await events.withoutPlace(pdu.prev_events)).some((prev) => !older.has(prev))) {
        throw new UnknownPlaceError(`The events before ${id} could not be fetched.`);
      }
    }
    return this.#deps.placing.place(room, pdu, { kind: 'news', origin }, supply);
  }

  /**
   * Stores history from before our oldest event. Not to be called in the room's turn.
   *
   * @param pdus as provided by another server
   * @param nextPosition returns decreasing positions
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
        await this.#deps.placing.place(room, pdu, { kind: 'history', position }, supply);
        stored += 1;
      } catch (error) {
        if (!(error instanceof UnknownPlaceError || error instanceof BadEventError)) throw error;
      }
    }
    return stored;
  }

  async #supply(room: Room, origin: string, patienceMs: number, heldBack: boolean): Promise<DependencyFetcher> {
    const { members, serverName, remoteGraph, askers, log } = this.#deps;
    const others = [...(await members.servers(room.roomId))].filter((server) => server !== serverName);
    const servers = askers.order([origin, ...others]);
    return new DependencyFetcher({ room, remoteGraph, askers, servers, patienceMs, heldBack, log });
  }
}
