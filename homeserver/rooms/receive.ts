/**
 * Events from other servers: gaps before them are filled, then each is judged and stored. Format, hash and signatures
 * were checked by whoever fetched or received them.
 *
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU"
 */
import { AuthError, checkAuth, checkAuthEventsSelection, stateKey, stateViewOf } from '../../federation/auth-rules.ts';
import type { StateKey } from '../../federation/auth-rules.ts';
import { BadEventError, eventId, isCreate, roomIdOf } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import type { Logger } from 'pino';
import type { Database } from '../database/database.ts';
import { writeTogether } from '../database/writes.ts';
import { MatrixError } from '../errors.ts';
import type { EventStore } from './event-store.ts';
import type { IncompleteRooms } from './incomplete-rooms.ts';
import type { Members } from './members.ts';
import type { RemoteRooms } from './ports.ts';
import type { EarlyRedactions } from './redactions.ts';
import type { Room } from './room.ts';
import type { State, StateStore } from './state-store.ts';
import { redactedEvent, signedForm } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';
import type { Timeline } from './timeline.ts';

/** Most events asked for at once to fill the gap before an event; others cap it there. */
const GAP_LIMIT = 20;
/** A longer gap is filled page by page, up to this many. What is then still missing stays a hole in the history. */
const BACKFILL_ROUNDS = 5;
const BACKFILL_LIMIT = 100;
const MAX_BACKFILL_FROM = 20;
/** Most auth events fetched one by one for one event. */
const AUTH_FETCH_LIMIT = 100;
/** Servers asked in turn for what the sending one does not give. */
const SERVERS_TO_ASK = 4;
/** Events of a state that are written at once. */
const STORED_AT_ONCE = 500;

export interface ReceiverDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly members: Members;
  readonly incomplete: IncompleteRooms;
  readonly redactions: EarlyRedactions;
  readonly timeline: Timeline;
  readonly remote: () => RemoteRooms;
  readonly log: Logger;
}

/** Thrown for an event whose place in the history could not be found out. */
export class UnknownPlaceError extends Error {
  override readonly name = 'UnknownPlaceError';
}

export class Receiver {
  readonly #deps: ReceiverDeps;

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  /**
   * Stores an event of another server. To be called in the room's turn.
   *
   * @param origin the server that sent it, asked first for what is missing
   * @returns the event as stored; look at `rejected` and `softFailed`
   */
  async receive(room: Room, pdu: Pdu, origin: string): Promise<StoredEvent> {
    const id = eventId(pdu, room.version);
    const known = await this.#deps.events.get(id);
    // Where servers give the ids, two events may have the same.
    if (known && known.roomId !== room.roomId) throw new BadEventError(`The id ${id} is taken in another room.`);
    if (known && !known.outlier) return known;
    // What was said before we came in, or while we did, is put in its place without the history that led to it: that is
    // no news, and is fetched when somebody looks for it.
    const hasGap = (await this.#missing(pdu.prev_events)).length > 0;
    if (hasGap && pdu.depth > (await this.#floor(room))) {
      const older = await this.#fillGap(room, pdu, id, origin);
      // Who sends an event has to have what came before it. To take it without would let anybody cut our history.
      if ((await this.#missing(pdu.prev_events)).some((prev) => !older.has(prev))) {
        throw new UnknownPlaceError(`What came before ${id} was not given.`);
      }
    }
    return this.#place(room, pdu, id, origin, known);
  }

  /**
   * Stores history from before the oldest event that we have. To be called in the room's turn.
   *
   * @param pdus as another server gave them
   * @param nextPosition gives ever lower positions
   */
  async storeHistory(room: Room, pdus: readonly Pdu[], origin: string, nextPosition: () => number): Promise<number> {
    const fresh = new Map<string, Pdu>();
    for (const pdu of pdus) fresh.set(eventId(pdu, room.version), pdu);
    const known = await this.#deps.events.getMany(fresh.keys());
    for (const [id, event] of known) if (!event.outlier) fresh.delete(id);
    const newestFirst = [...fresh].sort(([, a], [, b]) => b.depth - a.depth);
    const placed = newestFirst.map(([id, pdu]) => ({ id, pdu, position: nextPosition() }));
    let stored = 0;
    for (const { id, pdu, position } of placed.reverse()) {
      try {
        const stateBefore = await this.#stateBeforeHistory(room, pdu, id, origin);
        await this.#fetchAuthEvents(room, pdu, origin);
        const verdict = await this.#deps.timeline.judge(room, pdu, id, stateBefore);
        const placing = { room, pdu, stateBefore, verdict: { ...verdict, softFailed: false }, known: known.get(id) };
        await this.#deps.timeline.addHistory(placing, position);
        stored += 1;
      } catch (error) {
        if (!(error instanceof UnknownPlaceError)) throw error;
      }
    }
    return stored;
  }

  async #emptyState(room: Room): Promise<State> {
    return this.#deps.db.transaction((tx) => this.#deps.states.derive(tx, room.roomId, undefined, new Map()));
  }

  /**
   * Fetches what lies between our newest events and this one, and stores it oldest first.
   *
   * @returns events that are from before we came in, and were not stored
   */
  async #fillGap(room: Room, pdu: Pdu, id: string, origin: string): Promise<Set<string>> {
    const fetched = new Map<string, Pdu>();
    const answering = new Set(await this.#serversToAsk(room, origin));
    for (const server of answering) {
      try {
        const events = await this.#deps.remote().missingEvents({
          roomId: room.roomId,
          server,
          version: room.version,
          earliest: room.extremities,
          latest: [id],
          limit: GAP_LIMIT,
        });
        for (const event of events) fetched.set(eventId(event, room.version), event);
      } catch (error) {
        // One that does not answer now is not asked again; another may only not know the event.
        if (!(error instanceof MatrixError) || error.status === 502) answering.delete(server);
        this.#deps.log.info({ err: error, roomId: room.roomId, server }, 'missing events were not given');
      }
      // Who sends an event need not have all that came before it.
      if ((await this.#open(room, [pdu, ...fetched.values()], fetched)).length === 0) break;
    }
    await this.#fetchFurther(room, pdu, fetched, answering);
    const floor = await this.#floor(room);
    const older = new Set<string>();
    const news = new Set<string>();
    for (const [eventIdHere, event] of [...fetched].sort(([, a], [, b]) => a.depth - b.depth)) {
      if (event.depth > pdu.depth) continue;
      const isNews = event.prev_events.some((prev) => news.has(prev)) || (await this.#isNews(room, eventIdHere, event));
      if (isNews) news.add(eventIdHere);
      else if (event.depth < floor) {
        older.add(eventIdHere);
        continue;
      }
      const known = await this.#deps.events.get(eventIdHere);
      if (known && !known.outlier) continue;
      try {
        await this.#place(room, event, eventIdHere, origin, known);
      } catch (error) {
        if (!(error instanceof UnknownPlaceError)) throw error;
        this.#deps.log.info({ roomId: room.roomId, eventId: eventIdHere }, 'an event of a gap was left out');
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
    const first = await events.first(roomId);
    if (key === undefined || first?.stateBefore === undefined || depth >= first.pdu.depth) return false;
    const then = (await states.read(first.stateBefore)).map.get(stateKey(type, key));
    if (then === undefined || then === id) return then === undefined;
    return ((await events.get(then))?.pdu.depth ?? 0) < depth;
  }

  /** The depth at which our live history begins: that of the create event, or of the join that brought us in. */
  async #floor({ roomId }: Room): Promise<number> {
    return (await this.#deps.events.first(roomId))?.pdu.depth ?? 0;
  }

  /** What some events cite and nobody has given yet, but not from before we came in. */
  async #open(room: Room, pdus: readonly Pdu[], fetched: ReadonlyMap<string, Pdu>): Promise<string[]> {
    const floor = await this.#floor(room);
    const later = pdus.filter(({ depth }) => depth > floor + 1);
    const cited = new Set(later.flatMap((event) => event.prev_events));
    return this.#missing([...cited].filter((prev) => !fetched.has(prev)));
  }

  /** After a long outage the gap is larger than one answer: goes on to what we know, but not to before we came in. */
  async #fetchFurther(room: Room, pdu: Pdu, fetched: Map<string, Pdu>, servers: Iterable<string>): Promise<void> {
    for (let round = 0; round < BACKFILL_ROUNDS; round++) {
      const wanted = (await this.#open(room, [pdu, ...fetched.values()], fetched)).slice(0, MAX_BACKFILL_FROM);
      if (wanted.length === 0 || !(await this.#fetchOlder(room, wanted, fetched, servers))) return;
    }
  }

  /** Asks one server after the other for some events and what came before them. @returns whether one gave any */
  async #fetchOlder(
    room: Room,
    wanted: readonly string[],
    fetched: Map<string, Pdu>,
    servers: Iterable<string>,
  ): Promise<boolean> {
    const { events, remote } = this.#deps;
    const floor = await this.#floor(room);
    const before = fetched.size;
    for (const server of servers) {
      try {
        for (const event of await remote().backfill(room.roomId, wanted, [server], BACKFILL_LIMIT, room.version)) {
          const id = eventId(event, room.version);
          if (event.depth > floor && (await events.get(id))?.outlier !== false) fetched.set(id, event);
        }
      } catch (error) {
        this.#deps.log.info({ err: error, roomId: room.roomId, server }, 'a long gap could not be filled');
      }
      if (fetched.size > before) return true;
    }
    return false;
  }

  /** @param known the event where it is stored as an outlier */
  async #place(room: Room, pdu: Pdu, id: string, origin: string, known: StoredEvent | undefined): Promise<StoredEvent> {
    const stateBefore = await this.#stateBefore(room, pdu, id, origin);
    await this.#fetchAuthEvents(room, pdu, origin);
    const verdict = await this.#deps.timeline.judge(room, pdu, id, stateBefore);
    if (verdict.reason !== undefined) {
      this.#deps.log.info({ roomId: room.roomId, eventId: id, ...verdict }, 'a remote event was not accepted');
    }
    return this.#deps.timeline.add({ room, pdu, stateBefore, verdict, known });
  }

  async #stateBefore(room: Room, pdu: Pdu, id: string, origin: string): Promise<State> {
    // A gap can reach back to the beginning of the room.
    if (isCreate(pdu)) return this.#emptyState(room);
    const missing = await this.#missing(pdu.prev_events);
    if (missing.length === 0) return this.#deps.timeline.stateBefore(room, pdu.prev_events);
    const groups = new Set<number>();
    for (const prev of missing) groups.add((await this.#remoteState(room, prev, origin, 'after')).group);
    const known = pdu.prev_events.filter((prev) => !missing.includes(prev));
    if (known.length > 0) groups.add((await this.#deps.timeline.stateBefore(room, known)).group);
    if (groups.size === 0) throw new UnknownPlaceError(`The state before ${id} is unknown.`);
    return this.#deps.timeline.merge(room, [...groups]);
  }

  /**
   * The state before an event of the history. Who came in by it knows that, but nothing of what came before, and the
   * others need not let us see it any more.
   */
  async #stateBeforeHistory(room: Room, pdu: Pdu, id: string, origin: string): Promise<State> {
    try {
      return await this.#stateBefore(room, pdu, id, origin);
    } catch (error) {
      if (!(error instanceof UnknownPlaceError)) throw error;
      return this.#remoteState(room, id, origin, 'before');
    }
  }

  /** The state before or after an event, as another server gives it, with every event of it checked. */
  async #remoteState(room: Room, id: string, origin: string, when: 'before' | 'after'): Promise<State> {
    const { remote } = this.#deps;
    const servers = await this.#serversToAsk(room, origin);
    let given;
    try {
      given = await remote().stateAt(room.roomId, id, servers, room.version);
    } catch (error) {
      this.#deps.log.info({ err: error, roomId: room.roomId, eventId: id }, 'no server gave the state at a gap');
      throw new UnknownPlaceError(`The state before ${id} is unknown.`);
    }
    const own = when === 'after' ? await remote().event(id, servers, room.version) : undefined;
    await this.storeOutliers(room, [...given.authChain, ...given.state, ...(own ? [own] : [])]);
    return this.stateOf(
      room,
      given.state.map((event) => eventId(event, room.version)),
      own && { id, pdu: own },
    );
  }

  /**
   * The state that consists of some stored events.
   *
   * @param last replaces what was there before it, if it is a state event
   */
  async stateOf(room: Room, ids: readonly string[], last?: { id: string; pdu: Pdu }): Promise<State> {
    const { db, events, states } = this.#deps;
    const all = last?.pdu.state_key === undefined ? ids : [...ids, last.id];
    const stored = await events.getMany(all);
    const map: Map<StateKey, string> = new Map();
    for (const id of all) {
      const event = stored.get(id);
      const key = event?.pdu.state_key;
      if (event && key !== undefined && !event.rejected) map.set(stateKey(event.pdu.type, key), id);
    }
    return db.transaction((tx) => states.derive(tx, room.roomId, room.state, map));
  }

  /** Stores events that others cite, each checked against its own auth events, which must be among them or stored. */
  async storeOutliers(room: Pick<Room, 'roomId' | 'version' | 'create'>, pdus: readonly Pdu[]): Promise<void> {
    const { db, events, redactions } = this.#deps;
    const byId = new Map<string, Pdu>();
    for (const pdu of pdus) {
      if (roomIdOf(pdu, room.version) === room.roomId) byId.set(eventId(pdu, room.version), pdu);
    }
    const known = await events.getMany(byId.keys());
    for (const id of known.keys()) byId.delete(id);
    const elsewhere = new Set([...byId.values()].flatMap((pdu) => pdu.auth_events).filter((id) => !byId.has(id)));
    const found = await events.getMany(elsewhere);
    for (const [id, event] of known) found.set(id, event);
    const early = await redactions.of(
      room.roomId,
      [...byId].map(([id, { sender }]) => ({ id, sender })),
    );
    let fresh: StoredEvent[] = [];
    const store = async (): Promise<void> => {
      await writeTogether(db, events.writes(fresh));
      for (const event of fresh) events.committed(event);
      fresh = [];
    };
    for (const id of causalOrder(byId)) {
      const pdu = byId.get(id);
      if (!pdu) continue;
      const cited = pdu.auth_events.map((citedId) => found.get(citedId)).filter((event) => event !== undefined);
      // Without what it rests on nothing can be said of it, and nothing may rest on it.
      if (cited.length < pdu.auth_events.length) continue;
      const whole: StoredEvent = {
        eventId: id,
        roomId: room.roomId,
        pdu,
        position: 0,
        rejected: !allowedBy(room, pdu, id, cited),
        softFailed: false,
        outlier: true,
      };
      const by = early.get(id);
      const event = by === undefined ? whole : redactedEvent(whole, by, room.version);
      found.set(id, event);
      fresh.push(event);
      if (fresh.length >= STORED_AT_ONCE) await store();
    }
    await store();
  }

  async #fetchAuthEvents(room: Room, pdu: Pdu, origin: string): Promise<void> {
    const wanted = [...pdu.auth_events];
    const fetched: Pdu[] = [];
    const seen = new Set<string>();
    while (wanted.length > 0 && seen.size < AUTH_FETCH_LIMIT) {
      const id = wanted.pop();
      if (id === undefined || seen.has(id)) continue;
      seen.add(id);
      if (await this.#deps.events.get(id)) continue;
      const servers = await this.#serversToAsk(room, origin);
      const event = await this.#deps.remote().event(id, servers, room.version);
      if (!event) continue;
      fetched.push(event);
      wanted.push(...event.auth_events);
    }
    if (fetched.length > 0) await this.storeOutliers(room, fetched);
    const cited = await this.#deps.events.getMany(pdu.auth_events);
    if (pdu.auth_events.some((id) => !cited.has(id))) {
      throw new UnknownPlaceError('Some of the events that authorise it were not given.');
    }
  }

  /** Of these events, those whose place in the history we do not know. */
  async #missing(ids: readonly string[]): Promise<string[]> {
    const found = await this.#deps.events.getMany(ids);
    return ids.filter((id) => found.get(id)?.stateAfter === undefined);
  }

  async #serversToAsk(room: Room, origin: string): Promise<string[]> {
    const servers = await this.#deps.members.servers(room.roomId);
    servers.delete(this.#deps.serverName);
    servers.delete(origin);
    return [origin, ...servers].slice(0, SERVERS_TO_ASK);
  }
}

function allowedBy(
  room: Pick<Room, 'version' | 'create'>,
  pdu: Pdu,
  id: string,
  cited: readonly StoredEvent[],
): boolean {
  try {
    checkAuthEventsSelection(
      pdu,
      room.version,
      cited.map((event) => ({ eventId: event.eventId, event: signedForm(event), rejected: event.rejected })),
    );
    checkAuth(pdu, id, room.version, stateViewOf(cited.map(signedForm), room.create));
    return true;
  } catch (error) {
    if (error instanceof AuthError) return false;
    throw error;
  }
}

/** Orders events so that each comes after those among them that it cites as auth events. */
function causalOrder(events: ReadonlyMap<string, Pdu>): string[] {
  const order: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  for (const start of events.keys()) {
    const stack = [start];
    while (stack.length > 0) {
      const id = stack.at(-1) ?? '';
      const pdu = events.get(id);
      if (pdu === undefined || state.get(id) === 'done') {
        stack.pop();
        continue;
      }
      if (state.get(id) === 'open') {
        state.set(id, 'done');
        order.push(id);
        stack.pop();
        continue;
      }
      state.set(id, 'open');
      for (const cited of pdu.auth_events) if (events.has(cited) && !state.has(cited)) stack.push(cited);
    }
  }
  return order;
}
