/**
 * Puts events into a room: decides about each, stores it with the state around it, moves the current state on and
 * tells those who listen. Every call for a room runs inside its turn (`Serial`).
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
} from '../../federation/auth-rules.ts';
import type { StateKey, StateView } from '../../federation/auth-rules.ts';
import { eventId, redactsOf, serverOf } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import { member, parseStrict } from '../../federation/json.ts';
import { resolveState } from '../../federation/state-resolution.ts';
import type { Database, Tx } from '../database/database.ts';
import { MatrixError } from '../errors.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { Invitations } from './invitations.ts';
import { transactionScope } from './local-events.ts';
import type { Members } from './members.ts';
import type { Sender } from './ports.ts';
import type { Positions } from '../stream/positions.ts';
import type { Room, RoomTable } from './room.ts';
import type { StateChanges } from './state-changes.ts';
import type { State, StateMap, StateStore } from './state-store.ts';

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
}

export interface TimelineDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly changes: StateChanges;
  readonly positions: Positions;
  readonly sender: Sender;
  readonly emit: (event: StoredEvent, info: { live: boolean }) => void;
}

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
      event: async (id) => (id === fresh?.id ? fresh.pdu : (await this.#deps.events.get(id))?.pdu),
      rejected: async (id) => (id === fresh?.id ? false : ((await this.#deps.events.get(id))?.rejected ?? true)),
    });
  }

  /** The part of a state that decides about an event. */
  async view(room: Pick<Room, 'version' | 'create'>, map: StateMap, pdu: Pdu): Promise<StateView> {
    const ids: string[] = [];
    for (const [type, key] of authTypesFor(pdu, room.version)) {
      const id = map.get(stateKey(type, key));
      if (id !== undefined) ids.push(id);
    }
    const events = await this.#deps.events.getMany(ids);
    return stateViewOf(
      [...events.values()].map((event) => event.pdu),
      room.create,
    );
  }

  /** The auth events that an event has to cite in a state. */
  authEvents(room: Room, map: StateMap, pdu: Pdu): string[] {
    return authTypesFor(pdu, room.version)
      .map(([type, key]) => map.get(stateKey(type, key)))
      .filter((id) => id !== undefined);
  }

  /** Steps 4 to 6 of the checks. The auth events must be stored. */
  async judge(room: Room, pdu: Pdu, id: string, stateBefore: State): Promise<Verdict> {
    const cited = await this.#deps.events.getMany(pdu.auth_events);
    try {
      checkAuthEventsSelection(
        pdu,
        room.version,
        [...cited].map(([citedId, event]) => ({ eventId: citedId, event: event.pdu, rejected: event.rejected })),
      );
      const own = stateViewOf(
        [...cited.values()].map((event) => event.pdu),
        room.create,
      );
      checkAuth(pdu, id, room.version, own);
      checkAuth(pdu, id, room.version, await this.view(room, stateBefore.map, pdu));
    } catch (error) {
      if (error instanceof AuthError) return { rejected: true, softFailed: false, reason: error.message };
      throw error;
    }
    if (stateBefore.group === room.state.group) return ACCEPTED;
    try {
      checkAuth(pdu, id, room.version, await this.view(room, room.state.map, pdu));
    } catch (error) {
      if (error instanceof AuthError) return { rejected: false, softFailed: true, reason: error.message };
      throw error;
    }
    return ACCEPTED;
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

  /** Stores an event in its place. Answers what is stored already when we have it. */
  async add(addition: Addition): Promise<StoredEvent> {
    const { db, events, rooms, positions, serverName, sender } = this.#deps;
    const { room, pdu, stateBefore, verdict } = addition;
    const id = eventId(pdu, room.version);
    const existing = await events.get(id);
    if (existing && !existing.outlier) return existing;

    const accepted = !verdict.rejected && !verdict.softFailed;
    const position = positions.take();
    const destinations = new Set<string>();
    try {
      const { event, next } = await db.transaction(async (tx) => {
        const stateAfter = await this.#after(tx, room, pdu, id, stateBefore, verdict);
        const event: StoredEvent = {
          eventId: id,
          roomId: room.roomId,
          pdu,
          position,
          rejected: verdict.rejected,
          softFailed: verdict.softFailed,
          outlier: false,
          stateBefore: stateBefore.group,
          stateAfter: stateAfter.group,
          ...(addition.transaction === undefined ? {} : { transactionId: addition.transaction.transactionId }),
        };
        await events.put(event, tx);
        if (addition.transaction !== undefined)
          await this.#rememberTransaction(tx, addition.transaction, room.roomId, pdu.type, id);
        if (addition.fanOut !== undefined) {
          for (const server of await this.#deps.members.servers(room.roomId, tx)) destinations.add(server);
          const outside = await this.#endedElsewhere(pdu, stateBefore);
          if (outside !== undefined) destinations.add(outside);
        }
        let next: Pick<Room, 'extremities' | 'state'> | undefined;
        if (accepted) {
          const extremities = [...room.extremities.filter((old) => !pdu.prev_events.includes(old)), id];
          const state =
            extremities.length === 1
              ? stateAfter
              : await this.#mergeWith(tx, room, extremities, { id, pdu }, stateAfter);
          next = { extremities, state };
          await this.#index(tx, room, state.map, position);
          await rooms.put({ ...room, ...next }, tx);
        }
        if (addition.fanOut !== undefined) {
          for (const server of await this.#deps.members.servers(room.roomId, tx)) destinations.add(server);
          destinations.delete(serverName);
          if (addition.fanOut !== 'all') for (const server of addition.fanOut.except) destinations.delete(server);
          await sender.enqueue(tx, [...destinations], pdu);
        }
        return { event, next };
      });
      events.committed(event);
      if (next) {
        Object.assign(room, next);
        rooms.committed(room);
      }
      positions.settle(position);
      sender.flush([...destinations]);
      if (accepted) {
        if (pdu.type === 'm.room.redaction') await this.#applyRedaction(room, event);
        this.#deps.emit(event, { live: true });
      }
      return event;
    } finally {
      positions.settle(position);
    }
  }

  /** Stores an event of history from before what we had: it changes neither the current state nor the extremities. */
  async addHistory(room: Room, pdu: Pdu, stateBefore: State, verdict: Verdict, position: number): Promise<void> {
    const { db, events } = this.#deps;
    const id = eventId(pdu, room.version);
    const event = await db.transaction(async (tx) => {
      const stateAfter = await this.#after(tx, room, pdu, id, stateBefore, verdict);
      const stored: StoredEvent = {
        eventId: id,
        roomId: room.roomId,
        pdu,
        position,
        rejected: verdict.rejected,
        softFailed: false,
        outlier: false,
        stateBefore: stateBefore.group,
        stateAfter: stateAfter.group,
      };
      await events.put(stored, tx);
      return stored;
    });
    events.committed(event);
  }

  /** Indexes the memberships of a whole state, for a room that is entered through another server. */
  async indexAll(tx: Tx, room: Room, position: number): Promise<void> {
    await this.#indexChanges(tx, room, [...room.state.map], [], position);
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

  async #after(tx: Tx, room: Room, pdu: Pdu, id: string, stateBefore: State, verdict: Verdict): Promise<State> {
    if (pdu.state_key === undefined || verdict.rejected) return stateBefore;
    const map = new Map(stateBefore.map);
    map.set(stateKey(pdu.type, pdu.state_key), id);
    return this.#deps.states.derive(tx, room.roomId, stateBefore, map);
  }

  async #mergeWith(
    tx: Tx,
    room: Room,
    extremities: readonly string[],
    newest: { id: string; pdu: Pdu },
    newestState: State,
  ): Promise<State> {
    const others = await this.#deps.events.getMany(extremities.filter((id) => id !== newest.id));
    const groups = new Set<number>();
    for (const event of others.values()) if (event.stateAfter !== undefined) groups.add(event.stateAfter);
    groups.delete(newestState.group);
    if (groups.size === 0) return newestState;
    const states = await Promise.all([...groups].map((group) => this.#deps.states.read(group)));
    const map = await this.resolve(room, [newestState.map, ...states.map((state) => state.map)], newest);
    for (const state of [newestState, ...states]) if (equalMaps(state.map, map)) return state;
    return this.#deps.states.derive(tx, room.roomId, room.state, map);
  }

  /** Brings the index of members in line with a new current state. */
  async #index(tx: Tx, room: Room, map: StateMap, position: number): Promise<void> {
    const changed: [StateKey, string][] = [];
    for (const [key, id] of map) if (room.state.map.get(key) !== id) changed.push([key, id]);
    const gone =
      map.size < room.state.map.size + changed.length ? [...room.state.map.keys()].filter((key) => !map.has(key)) : [];
    const keys = [...changed.map(([key]) => key), ...gone];
    await this.#deps.changes.put(tx, room.roomId, position, keys, room.state.map, map);
    await this.#indexChanges(tx, room, changed, gone, position);
  }

  async #indexChanges(
    tx: Tx,
    room: Room,
    changed: readonly [StateKey, string][],
    gone: readonly StateKey[],
    position: number,
  ): Promise<void> {
    const { db, members } = this.#deps;
    for (const key of gone) {
      const [type, userId] = splitStateKey(key);
      if (type === 'm.room.member') await members.remove(tx, room.roomId, userId);
    }
    const memberships = changed.filter(([key]) => splitStateKey(key)[0] === 'm.room.member');
    if (memberships.length === 0) return;
    // The event at hand is not committed yet: read inside the transaction.
    const rows = await db.query<{ state_key: string; json: string; origin_server_ts: number }>(
      'SELECT state_key, json, origin_server_ts FROM events WHERE event_id = ANY($1)',
      [memberships.map(([, id]) => id)],
      tx,
    );
    for (const row of rows) {
      const content = (parseStrict(row.json) as Pdu).content;
      const membership = member(content, 'membership');
      if (typeof membership !== 'string') continue;
      await members.put(tx, {
        roomId: room.roomId,
        userId: row.state_key,
        membership,
        position,
        since: row.origin_server_ts,
      });
    }
  }

  async #rememberTransaction(
    tx: Tx,
    { userId, deviceId, transactionId }: { userId: string; deviceId: string; transactionId: string },
    roomId: string,
    type: string,
    id: string,
  ): Promise<void> {
    await this.#deps.db.query(
      `INSERT INTO client_transactions (user_id, device_id, transaction_id, event_id, created_at, scope)
       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
      [userId, deviceId, transactionId, id, Date.now(), transactionScope(roomId, type)],
      tx,
    );
  }

  /** A redaction counts when its sender has the level for it or is of the same server as the redacted event's. */
  async #applyRedaction(room: Room, redaction: StoredEvent): Promise<void> {
    const targetId = redactsOf(redaction.pdu, room.version);
    const target = targetId === undefined ? undefined : await this.#deps.events.get(targetId);
    if (!target || target.roomId !== room.roomId) return;
    const view = await this.view(room, room.state.map, redaction.pdu);
    const allowed =
      powerLevelOf(redaction.pdu.sender, room.version, view) >= powerLevels(view).redact ||
      serverOf(redaction.pdu.sender) === serverOf(target.pdu.sender);
    if (allowed) await this.#deps.events.redact(target.eventId, redaction.eventId);
  }
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
