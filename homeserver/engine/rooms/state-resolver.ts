/** The state of a room at any event, resolved where branches meet. */
import { stateKey } from '../../../federation/auth-rules.ts';
import type { Pdu } from '../../../federation/event.ts';
import { resolveState } from '../../../federation/state-resolution.ts';
import type { Database } from '../../database/database.ts';
import type { Write } from '../../database/writes.ts';
import type { EventStore } from './event-store.ts';
import type { Verdict } from './judge.ts';
import type { Room } from './room.ts';
import type { State, StateMap, StateStore } from './state-store.ts';
import { signedForm } from './stored-event.ts';

export interface StateResolverDeps {
  readonly db: Database;
  readonly events: EventStore;
  readonly states: StateStore;
}

/** A computed state, and the writes that store it. */
export interface PlannedState {
  readonly state: State;
  readonly writes: Write[];
}

export class StateResolver {
  readonly #deps: StateResolverDeps;

  constructor(deps: StateResolverDeps) {
    this.#deps = deps;
  }

  /** The state before an event whose `prev_events` are stored. */
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

  /** The state after an event, and the writes that store it. */
  async after(
    room: Room,
    pdu: Pdu,
    id: string,
    stateBefore: State,
    verdict: Pick<Verdict, 'rejected'>,
  ): Promise<PlannedState> {
    if (pdu.state_key === undefined || verdict.rejected) return { state: stateBefore, writes: [] };
    const map = new Map(stateBefore.map);
    const key = stateKey(pdu.type, pdu.state_key);
    map.set(key, id);
    return this.#deps.states.plan(room.roomId, stateBefore, map, [key]);
  }

  /** The state after the extremities, one of which may be the event being stored. */
  async stateAt(
    room: Room,
    extremities: readonly string[],
    newest: { id: string; pdu: Pdu },
    newestState: State,
  ): Promise<PlannedState> {
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

  /** Authorisation uses events as they were signed: what was redacted later counted then. */
  async #signed(id: string): Promise<Pdu | undefined> {
    const event = await this.#deps.events.get(id);
    return event && signedForm(event);
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
