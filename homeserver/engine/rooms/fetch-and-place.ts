/**
 * Places events of other servers: checks in the room's turn what one lacks, fetches that between turns, and tries
 * again.
 */
import { eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { EventStore } from './event-store.ts';
import type { InTurn } from './in-turn.ts';
import type { Outliers } from './outliers.ts';
import type { Need, Placing, Site } from './placing.ts';
import type { RemoteState } from './ports.ts';
import type { Room } from './room.ts';
import type { StoredEvent } from './stored-event.ts';
import { REQUESTS_AT_ONCE, UnknownPlaceError } from './dependency-fetcher.ts';
import type { DependencyFetcher } from './dependency-fetcher.ts';

/** Most auth events fetched one by one for one event. */
const AUTH_FETCH_LIMIT = 100;
/** How often placing is tried: once, and after each kind of missing data. */
const LOOKS = 5;

export interface FetchAndPlaceDeps {
  readonly events: EventStore;
  readonly outliers: Outliers;
  readonly placing: Placing;
  readonly inTurn: InTurn;
}

export class FetchAndPlace {
  readonly #deps: FetchAndPlaceDeps;

  constructor(deps: FetchAndPlaceDeps) {
    this.#deps = deps;
  }

  /**
   * Places an event, fetching what it needs between turns.
   *
   * @throws UnknownPlaceError when what it needs cannot be fetched
   */
  async place(room: Room, pdu: Pdu, site: Site, supply: DependencyFetcher): Promise<StoredEvent> {
    const { inTurn, placing } = this.#deps;
    for (let look = 0; look < LOOKS; look += 1) {
      const placed = await inTurn(room.roomId, (present) => placing.place(present, pdu, site, supply), 'foreign');
      if ('stored' in placed) return placed.stored;
      if (site.kind === 'history' && placed.need.kind === 'states') {
        await this.#historicState(room, eventId(pdu, room.version), placed.need, supply);
      } else await this.#get(room, placed.need, supply);
    }
    throw new UnknownPlaceError('What the event needs kept changing.');
  }

  /**
   * Fetches the states after the previous events of a historic event, or else the state before it. The server that
   * joined with the event knows the latter but none of its past, and others may no longer show it to us.
   */
  async #historicState(room: Room, id: string, need: Need, supply: DependencyFetcher): Promise<void> {
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

  /** @throws UnknownPlaceError when it cannot be fetched @throws UnknownPlaceError when it is not to be had */
  async #get(room: Room, need: Need, supply: DependencyFetcher): Promise<void> {
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
          throw new UnknownPlaceError('Some of its auth events could not be fetched.');
        }
      }
    }
  }

  /** Missing auth events, and their auth chains. */
  async #authority(eventIds: readonly string[], supply: DependencyFetcher): Promise<Pdu[]> {
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
}
