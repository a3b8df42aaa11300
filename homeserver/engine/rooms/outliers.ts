/**
 * Outliers: events that others reference, without a place in the history, such as auth events and state from before we
 * joined. Each is checked against its own auth events.
 */
import {
  AuthError,
  checkAuth,
  checkAuthEventsSelection,
  stateKey,
  stateViewOf,
} from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import { eventId, roomIdOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { EventStore } from './event-store.ts';
import type { EarlyRedactions } from './redactions.ts';
import type { Room } from './room.ts';
import type { State, StateStore } from './state-store.ts';
import { redactedEvent, signedForm } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** Events of a state stored in one turn of the room; other tasks may run in between. */
const STORED_AT_ONCE = 500;

export interface OutliersDeps {
  readonly db: Database;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly redactions: EarlyRedactions;
}

export class Outliers {
  readonly #deps: OutliersDeps;

  constructor(deps: OutliersDeps) {
    this.#deps = deps;
  }

  /** Stores events as outliers; their auth events must be among them or stored. To be called in the room's turn. */
  async store(room: Pick<Room, 'roomId' | 'version' | 'create'>, pdus: readonly Pdu[]): Promise<void> {
    for (const some of inTurns(pdus, room.version)) await this.#store(room, some);
  }

  /** Like `store`, in several turns of the room. */
  async storeInTurns(
    version: RoomVersion,
    pdus: readonly Pdu[],
    inTurn: (task: (room: Room) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    for (const some of inTurns(pdus, version)) await inTurn((room) => this.#store(room, some));
  }

  /**
   * The state that consists of the given stored events.
   *
   * @param last applied on top, if it is a state event
   */
  async stateOf(room: Room, ids: readonly string[], last?: { id: string; pdu: Pdu }): Promise<State> {
    const { db, events, states } = this.#deps;
    const all = last?.pdu.state_key === undefined ? ids : [...ids, last.id];
    const stored = await events.getMany(all);
    const map: Map<StateKey, string> = new Map();
    for (const id of all) {
      const event = stored.get(id);
      const key = event?.pdu.state_key;
      if (event?.roomId !== room.roomId || key === undefined || event.rejected) continue;
      map.set(stateKey(event.pdu.type, key), id);
    }
    return db.transaction((tx) => states.derive(tx, room.roomId, room.state, map));
  }

  /** @param pdus in causal order */
  async #store(room: Pick<Room, 'roomId' | 'version' | 'create'>, pdus: readonly Pdu[]): Promise<void> {
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
    const fresh: StoredEvent[] = [];
    for (const [id, pdu] of byId) {
      const cited = pdu.auth_events.map((citedId) => found.get(citedId)).filter((event) => event !== undefined);
      // Without its auth events it cannot be checked, and nothing may depend on it.
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
    }
    await writeTogether(db, events.writes(fresh));
    for (const event of fresh) events.committed(event);
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

/** The events in causal order, in chunks. */
function inTurns(pdus: readonly Pdu[], version: RoomVersion): Pdu[][] {
  const byId = new Map(pdus.map((pdu) => [eventId(pdu, version), pdu]));
  const ordered = causalOrder(byId).flatMap((id) => byId.get(id) ?? []);
  const portions: Pdu[][] = [];
  for (let at = 0; at < ordered.length; at += STORED_AT_ONCE) portions.push(ordered.slice(at, at + STORED_AT_ONCE));
  return portions;
}

/** Sorts events so that each comes after its auth events. */
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
