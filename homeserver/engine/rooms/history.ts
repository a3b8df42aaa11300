/** Reads a room's history: for users, for other servers, and with the visibility rules. */
import { stateKey } from '../../../federation/auth-rules.ts';
import { isCreate, serverOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { StateMap, StateStore } from './state-store.ts';

/** Most events of an auth chain sent to another server. */
const AUTH_CHAIN_LIMIT = 20_000;
/** Most events visited for one query of the graph. */
const WALK_LIMIT = 2_000;

/** The auth events of an event; in rooms whose id is the hash of the create event, including that one. */
function authorities({ roomId, pdu }: StoredEvent): string[] {
  return isCreate(pdu) || roomId.includes(':') ? pdu.auth_events : [`$${roomId.slice(1)}`, ...pdu.auth_events];
}

type Visibility = 'world_readable' | 'shared' | 'invited' | 'joined';

export class History {
  readonly #events: EventStore;
  readonly #states: StateStore;

  constructor(events: EventStore, states: StateStore) {
    this.#events = events;
    this.#states = states;
  }

  /**
   * The auth chain of some events, without the events themselves. The create event is part of it even where no event
   * references it.
   */
  async authChain(eventIds: Iterable<string>): Promise<Map<string, StoredEvent>> {
    const chain = new Map<string, StoredEvent>();
    let edge = [...(await this.#events.getMany(eventIds)).values()].flatMap(authorities);
    while (edge.length > 0 && chain.size < AUTH_CHAIN_LIMIT) {
      const wanted = [...new Set(edge)].filter((id) => !chain.has(id));
      const found = await this.#events.getMany(wanted);
      edge = [];
      for (const [id, event] of found) {
        chain.set(id, event);
        edge.push(...authorities(event));
      }
    }
    return chain;
  }

  /**
   * The events between `latest` and `earliest`, both exclusive, found by walking back from `latest`.
   *
   * @see Matrix specification, server-server API, "Retrieving missing events"
   */
  async between(
    roomId: string,
    latest: readonly string[],
    earliest: readonly string[],
    options: { limit: number; minDepth: number },
  ): Promise<StoredEvent[]> {
    const stop = new Set(earliest);
    const starts = await this.#inRoom(roomId, latest);
    const edge = starts.flatMap((event) => event.pdu.prev_events);
    const events = await this.#walk(roomId, edge, options.limit, (event) => {
      return !stop.has(event.eventId) && event.pdu.depth >= options.minDepth;
    });
    return events.reverse();
  }

  /** The events and their past, newest first. */
  async before(roomId: string, eventIds: readonly string[], limit: number): Promise<StoredEvent[]> {
    return this.#walk(roomId, eventIds, limit, () => true);
  }

  /** The state before an event, as event ids. */
  async stateBefore(event: StoredEvent): Promise<StateMap | undefined> {
    return event.stateBefore === undefined ? undefined : (await this.#states.read(event.stateBefore)).map;
  }

  /** The state after an event, as event ids. */
  async stateAfter(event: StoredEvent): Promise<StateMap | undefined> {
    return event.stateAfter === undefined ? undefined : (await this.#states.read(event.stateAfter)).map;
  }

  /** A user's membership at an event, including the event itself. */
  async membershipAt(event: StoredEvent, userId: string): Promise<string | undefined> {
    if (event.stateAfter === undefined) return undefined;
    return this.#membership((await this.#states.read(event.stateAfter)).map, userId);
  }

  /**
   * Whether a user may see an event.
   *
   * @param now the user's current membership, and up to which stream position they may read unless they are joined
   * @see Matrix specification, client-server API, "Room History Visibility"
   */
  async visibleToUser(
    event: StoredEvent,
    userId: string,
    now: { membership: string | undefined; position: number },
  ): Promise<boolean> {
    if (event.stateBefore === undefined || event.stateAfter === undefined) return false;
    // The common case, which needs no state: the user is joined and has been since before the event.
    if (now.membership === 'join' && event.position >= now.position) return true;
    const before = (await this.#states.read(event.stateBefore)).map;
    const after = (await this.#states.read(event.stateAfter)).map;
    const memberships = [await this.#membership(before, userId), await this.#membership(after, userId)];
    if (memberships.includes('join')) return true;
    const isLater = now.membership !== undefined && now.membership !== 'join' && event.position > now.position;
    const visibilities = [await this.#visibility(before)];
    // A change of the visibility itself is visible if the old or the new one allows it.
    if (event.pdu.type === 'm.room.history_visibility') visibilities.push(await this.#visibility(after));
    if (visibilities.includes('world_readable')) return true;
    if (memberships.includes('ban') && now.membership !== 'join') return event.pdu.state_key === userId;
    if (event.pdu.type === 'm.room.member' && event.pdu.state_key === userId) return true;
    // Nobody sees events after their leave, even if they are invited again.
    if (isLater) return false;
    if (visibilities.includes('invited') && memberships.includes('invite')) return true;
    if (!visibilities.includes('shared')) return false;
    // Somebody outside may never have been joined: they see nothing from before their time.
    return now.membership === 'join';
  }

  /**
   * Whether another server may see an event in full; otherwise it gets the redacted form.
   *
   * @see Matrix specification, server-server API, "Backfilling and retrieving missing events"
   */
  async visibleToServer(event: StoredEvent, server: string): Promise<boolean> {
    if (event.pdu.state_key !== undefined || event.stateBefore === undefined) return true;
    const { map } = await this.#states.read(event.stateBefore);
    const visibility = await this.#visibility(map);
    if (visibility === 'world_readable' || visibility === 'shared') return true;
    if (serverOf(event.pdu.sender) === server) return true;
    const ids: string[] = [];
    for (const [key, id] of map) {
      if (key.startsWith('m.room.member\0') && key.endsWith(`:${server}`)) ids.push(id);
    }
    for (const state of (await this.#events.getMany(ids)).values()) {
      const membership = member(state.pdu.content, 'membership');
      if (membership === 'join' || (visibility === 'invited' && membership === 'invite')) return true;
    }
    return false;
  }

  /**
   * Includes rejected events: an accepted one may come after them, and a server that does not get them could neither
   * reject them itself nor find what came before.
   */
  async #walk(
    roomId: string,
    from: readonly string[],
    limit: number,
    wanted: (event: StoredEvent) => boolean,
  ): Promise<StoredEvent[]> {
    const found: StoredEvent[] = [];
    const seen = new Set<string>();
    let edge = [...from];
    while (edge.length > 0 && found.length < limit && seen.size < WALK_LIMIT) {
      const ids = [...new Set(edge)].filter((id) => !seen.has(id));
      for (const id of ids) seen.add(id);
      const events = await this.#inRoom(roomId, ids);
      events.sort((a, b) => b.pdu.depth - a.pdu.depth);
      edge = [];
      for (const event of events) {
        if (event.outlier || !wanted(event) || found.length >= limit) continue;
        found.push(event);
        edge.push(...event.pdu.prev_events);
      }
    }
    return found.sort((a, b) => b.pdu.depth - a.pdu.depth);
  }

  async #inRoom(roomId: string, ids: readonly string[]): Promise<StoredEvent[]> {
    return [...(await this.#events.getMany(ids)).values()].filter((event) => event.roomId === roomId);
  }

  async #membership(map: StateMap, userId: string): Promise<string> {
    const membership = member((await this.#stateEvent(map, 'm.room.member', userId))?.content, 'membership');
    return typeof membership === 'string' ? membership : 'leave';
  }

  async #visibility(map: StateMap): Promise<Visibility> {
    const event = await this.#stateEvent(map, 'm.room.history_visibility', '');
    const value = member(event?.content, 'history_visibility');
    return value === 'world_readable' || value === 'invited' || value === 'joined' ? value : 'shared';
  }

  async #stateEvent(map: StateMap, type: string, key: string): Promise<Pdu | undefined> {
    const id = map.get(stateKey(type, key));
    return id === undefined ? undefined : (await this.#events.get(id))?.pdu;
  }
}
