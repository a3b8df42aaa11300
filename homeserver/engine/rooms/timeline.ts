/**
 * Puts events into a room: decides about each, stores it with the state around it, moves the current state on and
 * tells those who listen. Every call for a room runs inside its turn (`RoomTurns`).
 *
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU"
 */
import {
  AuthError,
  authTypesFor,
  checkAuth,
  checkAuthEventsSelection,
  powerLevelOf,
  powerLevels,
  splitStateKey,
  stateKey,
  stateViewOf,
} from '../../../federation/auth-rules.ts';
import type { StateKey, StateView } from '../../../federation/auth-rules.ts';
import { eventId, redactsOf, serverOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import { resolveState } from '../../../federation/state-resolution.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import { MatrixError } from '../../base/errors.ts';
import type { EventStore } from './event-store.ts';
import type { Extremities } from './extremities.ts';
import type { IncompleteRooms } from './incomplete-rooms.ts';
import type { Invitations } from './invitations.ts';
import { transactionWrites } from './client-transactions.ts';
import type { MembershipEntry, Members } from './members.ts';
import type { Sender } from './ports.ts';
import type { Positions } from '../stream/positions.ts';
import type { EarlyRedactions } from './redactions.ts';
import type { Room, RoomTable } from './room.ts';
import { differences } from './state-changes.ts';
import type { StateChanges } from './state-changes.ts';
import type { State, StateMap, StateStore } from './state-store.ts';
import { redactedEvent, signedForm } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** What decided the fate of an event. */
export interface Verdict {
  readonly rejected: boolean;
  readonly softFailed: boolean;
  /** Why, for the log and for the server that sent it. */
  readonly reason?: string;
}

export interface Addition {
  readonly room: Room;
  readonly pdu: Pdu;
  readonly stateBefore: State;
  readonly verdict: Verdict;
  /** To whom it is sent; nobody for an event that its own server has sent out already. */
  readonly fanOut?: 'all' | { except: readonly string[] };
  readonly transaction?: { userId: string; deviceId: string; transactionId: string };
  /** The event where it is stored already, as an outlier. */
  readonly known?: StoredEvent | undefined;
}

export interface TimelineDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly extremities: Extremities;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly changes: StateChanges;
  readonly incomplete: IncompleteRooms;
  readonly redactions: EarlyRedactions;
  readonly positions: Positions;
  readonly sender: Sender;
  readonly emit: (event: StoredEvent, info: { live: boolean }) => void;
}

/** A state that is worked out, and what has to be written for it. */
interface Planned {
  readonly state: State;
  readonly writes: Write[];
}

const MEMBER_KEY = stateKey('m.room.member', '');
const NOBODY: StateMap = new Map();
const ACCEPTED: Verdict = { rejected: false, softFailed: false };

export class Timeline {
  readonly #deps: TimelineDeps;

  constructor(deps: TimelineDeps) {
    this.#deps = deps;
  }

  /** The state before an event whose previous events we have. */
  async stateBefore(room: Room, prevEvents: readonly string[]): Promise<State> {
    if (sameIds(prevEvents, room.extremities)) return room.state;
    const found = await this.#deps.events.getMany(prevEvents);
    const groups = new Set<number>();
    for (const id of prevEvents) {
      const group = found.get(id)?.stateAfter;
      if (group === undefined) throw new Error(`The state after ${id} is unknown.`);
      groups.add(group);
    }
    return this.merge(room, [...groups]);
  }

  /** Resolves several states into one. */
  async merge(room: Room, groups: readonly number[]): Promise<State> {
    const states = await Promise.all([...groups].sort((a, b) => a - b).map((group) => this.#deps.states.read(group)));
    const [first, ...others] = states;
    if (first === undefined) throw new Error('There is no state to resolve.');
    if (others.length === 0) return first;
    const map = await this.resolve(
      room,
      states.map((state) => state.map),
    );
    const same = states.find((state) => equalMaps(state.map, map));
    if (same) return same;
    const base = states.at(-1);
    return this.#deps.db.transaction((tx) => this.#deps.states.derive(tx, room.roomId, base, map));
  }

  /** @param fresh an event that is being stored and can not be read back yet */
  async resolve(room: Room, maps: readonly StateMap[], fresh?: { id: string; pdu: Pdu }): Promise<StateMap> {
    return resolveState(room.version, [...maps], {
      event: async (id) => (id === fresh?.id ? fresh.pdu : await this.#signed(id)),
      rejected: async (id) => (id === fresh?.id ? false : ((await this.#deps.events.get(id))?.rejected ?? true)),
    });
  }

  /** Authorisation looks at events as they were signed: what was redacted later counted then. */
  async #signed(id: string): Promise<Pdu | undefined> {
    const event = await this.#deps.events.get(id);
    return event && signedForm(event);
  }

  /** The part of a state that decides about an event. */
  async view(room: Pick<Room, 'version' | 'create'>, map: StateMap, pdu: Pdu): Promise<StateView> {
    const ids: string[] = [];
    for (const [type, key] of authTypesFor(pdu, room.version)) {
      const id = map.get(stateKey(type, key));
      if (id !== undefined) ids.push(id);
    }
    const events = await this.#deps.events.getMany(ids);
    return stateViewOf([...events.values()].map(signedForm), room.create);
  }

  /** The membership of a user in the room's current state. */
  async membership(room: Room, userId: string): Promise<string | undefined> {
    const id = room.state.map.get(stateKey('m.room.member', userId));
    const membership =
      id === undefined ? undefined : member((await this.#deps.events.get(id))?.pdu.content, 'membership');
    return typeof membership === 'string' ? membership : undefined;
  }

  /** The auth events that an event has to cite in a state. */
  authEvents(room: Room, map: StateMap, pdu: Pdu): string[] {
    return authTypesFor(pdu, room.version)
      .map(([type, key]) => map.get(stateKey(type, key)))
      .filter((id) => id !== undefined);
  }

  /** Steps 4 to 6 of the checks. The auth events must be stored. */
  async judge(room: Room, pdu: Pdu, id: string, stateBefore: State): Promise<Verdict> {
    // As long as the members of the room are not known, those count that the event cites.
    const members = this.#deps.incomplete.lacksMembers(room.roomId) ? await this.#citedMembers(pdu) : NOBODY;
    const reason = await this.whyRejected(room, pdu, id, withDefaults(stateBefore.map, members));
    if (reason !== undefined) return { rejected: true, softFailed: false, reason };
    if (stateBefore.group !== room.state.group) {
      try {
        checkAuth(pdu, id, room.version, await this.view(room, withDefaults(room.state.map, members), pdu));
      } catch (error) {
        if (error instanceof AuthError) return { rejected: false, softFailed: true, reason: error.message };
        throw error;
      }
    }
    if (pdu.type === 'm.room.redaction' && (await this.#redacts(room, pdu)) === 'nothing') {
      return { rejected: false, softFailed: true, reason: 'It redacts what it may not.' };
    }
    return ACCEPTED;
  }

  /** Steps 4 and 5 of the checks. @returns why the event is rejected; undefined when it is not */
  async whyRejected(room: Room, pdu: Pdu, id: string, before: StateMap): Promise<string | undefined> {
    const cited = await this.#deps.events.getMany(pdu.auth_events);
    try {
      checkAuthEventsSelection(
        pdu,
        room.version,
        [...cited].map(([citedId, event]) => ({
          eventId: citedId,
          event: signedForm(event),
          rejected: event.rejected,
        })),
      );
      const own = stateViewOf([...cited.values()].map(signedForm), room.create);
      checkAuth(pdu, id, room.version, own);
      checkAuth(pdu, id, room.version, await this.view(room, before, pdu));
      return undefined;
    } catch (error) {
      if (error instanceof AuthError) return error.message;
      throw error;
    }
  }

  /** The memberships among the auth events of an event. */
  async #citedMembers(pdu: Pdu): Promise<StateMap> {
    const cited = await this.#deps.events.getMany(pdu.auth_events);
    const members = [...cited.values()].filter((event) => event.pdu.type === 'm.room.member' && !event.rejected);
    return new Map(members.map((event) => [stateKey('m.room.member', event.pdu.state_key ?? ''), event.eventId]));
  }

  /** Checks an event of our own against the current state; it cites just that. @throws MatrixError 403 or 400 */
  async authorise(room: Pick<Room, 'version' | 'create'>, map: StateMap, pdu: Pdu, id: string): Promise<void> {
    try {
      checkAuth(pdu, id, room.version, await this.view(room, map, pdu));
    } catch (error) {
      if (error instanceof AuthError) {
        throw new MatrixError(error.code === 'M_BAD_JSON' ? 400 : 403, error.code, error.message);
      }
      throw error;
    }
  }

  /** Stores an event in its place: one that we do not have yet, or only as an outlier. */
  async add(addition: Addition): Promise<StoredEvent> {
    const { db, events, rooms, members, positions, sender } = this.#deps;
    const { room, pdu, stateBefore, verdict } = addition;
    const id = eventId(pdu, room.version);
    const accepted = !verdict.rejected && !verdict.softFailed;
    const position = positions.take();
    try {
      // Everything is worked out first and then written at once: a busy room is as fast as its round trips.
      const after = await this.after(room, pdu, id, stateBefore, verdict);
      const { event, writes: early } = await this.#redactedEarly(addition, {
        eventId: id,
        roomId: room.roomId,
        pdu,
        position,
        rejected: verdict.rejected,
        softFailed: verdict.softFailed,
        outlier: false,
        stateBefore: stateBefore.group,
        stateAfter: after.state.group,
        ...(addition.transaction === undefined ? {} : { transactionId: addition.transaction.transactionId }),
      });
      const redaction = accepted ? await this.#redaction(room, event) : undefined;
      const writes = [...after.writes, ...events.writes([event]), ...early, ...(redaction?.writes ?? [])];
      if (addition.transaction !== undefined) {
        writes.push(...transactionWrites(room.roomId, [{ ...addition.transaction, type: pdu.type, eventId: id }]));
      }
      let next: Pick<Room, 'extremities' | 'state'> | undefined;
      let serversChange = false;
      const ends = await this.#deps.extremities.with(room, id, pdu, accepted);
      writes.push(...ends.writes);
      if (ends.extremities !== room.extremities) {
        const { extremities } = ends;
        const merged = await this.#stateAt(room, extremities, { id, pdu }, after.state);
        next = { extremities, state: merged.state };
        const isNext = accepted && stateBefore.map === room.state.map && merged.state.map === after.state.map;
        const keys = isNext && pdu.state_key !== undefined ? [stateKey(pdu.type, pdu.state_key)] : undefined;
        const derived = await this.stateWrites(room, merged.state.map, position, { id, pdu }, keys);
        serversChange = derived.serversChange;
        writes.push(...merged.writes, ...derived.writes, rooms.write({ ...room, ...next }));
      }
      const destinations = await this.#destinations(addition);
      const outbound = sender.write(destinations, [event]);
      if (outbound) writes.push(outbound);
      if (serversChange) members.changing(room.roomId);
      await writeTogether(db, writes);
      if (serversChange) members.changing(room.roomId);
      events.committed(event);
      if (redaction?.target !== undefined) events.redacted(redaction.target);
      if (next) {
        Object.assign(room, next);
        rooms.committed(room);
      }
      positions.settle(position);
      sender.flush(destinations);
      if (accepted) this.#deps.emit(event, { live: true });
      return event;
    } finally {
      positions.settle(position);
    }
  }

  /** The servers that an event is sent to: those in the room before or after it. */
  async #destinations({ room, pdu, stateBefore, fanOut }: Addition): Promise<string[]> {
    if (fanOut === undefined) return [];
    const destinations = new Set(await this.#deps.members.servers(room.roomId));
    if (pdu.type === 'm.room.member' && member(pdu.content, 'membership') === 'join') {
      destinations.add(serverOf(pdu.sender));
    }
    const outside = await this.#endedElsewhere(pdu, stateBefore);
    if (outside !== undefined) destinations.add(outside);
    destinations.delete(this.#deps.serverName);
    if (fanOut !== 'all') for (const server of fanOut.except) destinations.delete(server);
    return [...destinations];
  }

  /** Stores an event of history from before what we had: it changes neither the current state nor the extremities. */
  async addHistory(addition: Addition, position: number): Promise<StoredEvent> {
    const { db, events } = this.#deps;
    const { room, pdu, stateBefore, verdict } = addition;
    const id = eventId(pdu, room.version);
    const after = await this.after(room, pdu, id, stateBefore, verdict);
    const { event, writes: early } = await this.#redactedEarly(addition, {
      eventId: id,
      roomId: room.roomId,
      pdu,
      position,
      rejected: verdict.rejected,
      softFailed: false,
      outlier: false,
      stateBefore: stateBefore.group,
      stateAfter: after.state.group,
    });
    const redaction = verdict.rejected ? undefined : await this.#redaction(room, event);
    const ends = await this.#deps.extremities.writes(room.roomId, id, pdu);
    await writeTogether(db, [
      ...after.writes,
      ...events.writes([event]),
      ...early,
      ...(redaction?.writes ?? []),
      ...ends,
    ]);
    events.committed(event);
    if (redaction?.target !== undefined) events.redacted(redaction.target);
    return event;
  }

  /** The index of the memberships of a whole state, for a room that is entered through another server. */
  async indexAll(room: Room, position: number, fresh: { id: string; pdu: Pdu }): Promise<Write[]> {
    const ids = [...room.state.map].filter(([key]) => key.startsWith(MEMBER_KEY)).map(([, id]) => id);
    return this.#deps.members.writes(room.roomId, await this.#memberships(ids, position, fresh), []);
  }

  /** The server of somebody who was invited or had knocked and is refused: it is told, although it is not in the room. */
  async #endedElsewhere(pdu: Pdu, stateBefore: State): Promise<string | undefined> {
    if (pdu.type !== 'm.room.member' || pdu.state_key === undefined) return undefined;
    const membership = member(pdu.content, 'membership');
    if (membership !== 'leave' && membership !== 'ban') return undefined;
    const id = stateBefore.map.get(stateKey(pdu.type, pdu.state_key));
    const before = id === undefined ? undefined : member((await this.#deps.events.get(id))?.pdu.content, 'membership');
    return before === 'invite' || before === 'knock' ? serverOf(pdu.state_key) : undefined;
  }

  /** The state after an event, and what has to be written for it. */
  async after(
    room: Room,
    pdu: Pdu,
    id: string,
    stateBefore: State,
    verdict: Pick<Verdict, 'rejected'>,
  ): Promise<Planned> {
    if (pdu.state_key === undefined || verdict.rejected) return { state: stateBefore, writes: [] };
    const map = new Map(stateBefore.map);
    const key = stateKey(pdu.type, pdu.state_key);
    map.set(key, id);
    return this.#deps.states.plan(room.roomId, stateBefore, map, [key]);
  }

  /** The state at the extremities, of which the event that is being stored may be one. */
  async #stateAt(
    room: Room,
    extremities: readonly string[],
    newest: { id: string; pdu: Pdu },
    newestState: State,
  ): Promise<Planned> {
    if (sameIds(extremities, room.extremities)) return { state: room.state, writes: [] };
    const others = await this.#deps.events.getMany(extremities.filter((id) => id !== newest.id));
    const groups = new Set<number>();
    for (const event of others.values()) if (event.stateAfter !== undefined) groups.add(event.stateAfter);
    const isEnd = extremities.includes(newest.id);
    if (isEnd) groups.delete(newestState.group);
    const states = await Promise.all([...groups].map((group) => this.#deps.states.read(group)));
    if (isEnd) states.unshift(newestState);
    const [first, ...more] = states;
    if (!first) throw new Error(`The state at the end of ${room.roomId} is unknown.`);
    if (more.length === 0) return { state: first, writes: [] };
    const map = await this.resolve(
      room,
      states.map((state) => state.map),
      newest,
    );
    for (const state of states) if (equalMaps(state.map, map)) return { state, writes: [] };
    return this.#deps.states.plan(room.roomId, room.state, map);
  }

  /**
   * Brings what is derived from the current state in line with a new one.
   *
   * @param fresh an event that is being stored
   * @param changed its keys, if they are known
   */
  async stateWrites(
    room: Room,
    map: StateMap,
    position: number,
    fresh: { id: string; pdu: Pdu } | undefined,
    changed?: readonly StateKey[],
  ): Promise<{ writes: Write[]; serversChange: boolean }> {
    const before = room.state.map;
    if (map === before) return { writes: [], serversChange: false };
    const keys = changed ?? differences(before, map);
    const memberKeys = keys.filter((key) => key.startsWith(MEMBER_KEY));
    const present = memberKeys.map((key) => map.get(key)).filter((id) => id !== undefined);
    const gone = memberKeys.filter((key) => !map.has(key)).map((key) => splitStateKey(key)[1]);
    const entries = await this.#memberships(present, position, fresh);
    return {
      writes: [
        ...this.#deps.changes.writes(room.roomId, position, keys, before, map),
        ...this.#deps.members.writes(room.roomId, entries, gone),
      ],
      serversChange: this.#deps.members.changesServers(room.roomId, entries, gone),
    };
  }

  async #memberships(
    ids: readonly string[],
    position: number,
    fresh: { id: string; pdu: Pdu } | undefined,
  ): Promise<MembershipEntry[]> {
    if (ids.length === 0) return [];
    // The event at hand is not stored yet.
    const found = await this.#deps.events.getMany(ids.filter((id) => id !== fresh?.id));
    const pdus = [...found.values()].map((event) => event.pdu);
    if (fresh && ids.includes(fresh.id)) pdus.push(fresh.pdu);
    return pdus.flatMap((pdu) => {
      const membership = member(pdu.content, 'membership');
      if (typeof membership !== 'string' || pdu.state_key === undefined) return [];
      return [{ userId: pdu.state_key, membership, position, since: pdu.origin_server_ts }];
    });
  }

  /**
   * What an accepted event takes out of another one, to be written with it; undefined for what is no redaction.
   *
   * @returns `target` is the redacted event; without it, that one has not come yet or must not be redacted
   */
  async #redaction(room: Room, event: StoredEvent): Promise<{ writes: Write[]; target?: string } | undefined> {
    const { events, redactions } = this.#deps;
    const { pdu } = event;
    const targetId = pdu.type === 'm.room.redaction' ? redactsOf(pdu, room.version) : undefined;
    if (targetId === undefined) return undefined;
    const target = await this.#redacts(room, pdu);
    if (target === 'nothing') return undefined;
    if (target !== 'unknown') {
      return { writes: events.redaction(target, event.eventId, room.version), target: target.eventId };
    }
    const anybodys = await this.#redactsAnybodys(room, pdu);
    const early = { eventId: event.eventId, roomId: room.roomId, targetId, sender: pdu.sender, anybodys };
    return { writes: [redactions.write(early)] };
  }

  /** The event without what was redacted before it came, and what is to be written besides. */
  async #redactedEarly(
    { room, known }: Addition,
    event: StoredEvent,
  ): Promise<{ event: StoredEvent; writes: Write[] }> {
    const { eventId: id, pdu } = event;
    if (known?.redactedBy !== undefined) {
      return { event: redactedEvent(event, known.redactedBy, room.version), writes: [] };
    }
    const by = (await this.#deps.redactions.of(room.roomId, [{ id, sender: pdu.sender }])).get(id);
    if (by === undefined) return { event, writes: [] };
    return { event: redactedEvent(event, by, room.version), writes: [this.#deps.redactions.applied(id)] };
  }

  async #redactsAnybodys(room: Room, redaction: Pdu): Promise<boolean> {
    const view = await this.view(room, room.state.map, redaction);
    return powerLevelOf(redaction.sender, room.version, view) >= powerLevels(view).redact;
  }

  /**
   * The event that a redaction redacts. It counts when its sender has the level for it or is of the same server as the
   * redacted event's; clients are told of no other.
   *
   * @returns `unknown` when we do not have the event
   * @see Matrix specification, server-server API and room version 3, "Handling redactions"
   */
  async #redacts(room: Room, redaction: Pdu): Promise<StoredEvent | 'unknown' | 'nothing'> {
    const targetId = redactsOf(redaction, room.version);
    const target = targetId === undefined ? undefined : await this.#deps.events.get(targetId);
    if (!target) return 'unknown';
    if (target.roomId !== room.roomId) return 'nothing';
    const isOwn = serverOf(redaction.sender) === serverOf(target.pdu.sender);
    return isOwn || (await this.#redactsAnybodys(room, redaction)) ? target : 'nothing';
  }
}

/** A state, and what it lacks from another one. */
function withDefaults(map: StateMap, defaults: StateMap): StateMap {
  return defaults.size === 0 ? map : new Map([...defaults, ...map]);
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}

function equalMaps(a: StateMap, b: StateMap): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [key, id] of a) if (b.get(key) !== id) return false;
  return true;
}
