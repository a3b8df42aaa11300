/** What is derived from the current state of rooms: the member index and the state changes. */
import { splitStateKey, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { Write } from '../../database/writes.ts';
import type { EventStore } from './event-store.ts';
import type { MembershipEntry, Members } from './members.ts';
import type { Room } from './room.ts';
import { differences } from './state-changes.ts';
import type { StateChanges } from './state-changes.ts';
import type { StateMap } from './state-store.ts';

export interface StateIndexDeps {
  readonly events: EventStore;
  readonly members: Members;
  readonly changes: StateChanges;
}

const MEMBER_KEY = stateKey('m.room.member', '');

export class StateIndex {
  readonly #deps: StateIndexDeps;

  constructor(deps: StateIndexDeps) {
    this.#deps = deps;
  }

  /**
   * Updates what is derived from the current state.
   *
   * @param fresh an event that is being stored
   * @param changed the changed keys, if known
   */
  async update(
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

  /** The member index of a whole state, for a room that is joined through another server. */
  async enter(room: Room, position: number, fresh: { id: string; pdu: Pdu }): Promise<Write[]> {
    const ids = [...room.state.map].filter(([key]) => key.startsWith(MEMBER_KEY)).map(([, id]) => id);
    return this.#deps.members.writes(room.roomId, await this.#memberships(ids, position, fresh), []);
  }

  async #memberships(
    ids: readonly string[],
    position: number,
    fresh: { id: string; pdu: Pdu } | undefined,
  ): Promise<MembershipEntry[]> {
    if (ids.length === 0) return [];
    // The event being stored cannot be read yet.
    const found = await this.#deps.events.getMany(ids.filter((id) => id !== fresh?.id));
    const pdus = [...found.values()].map((event) => event.pdu);
    if (fresh && ids.includes(fresh.id)) pdus.push(fresh.pdu);
    return pdus.flatMap((pdu) => {
      const membership = member(pdu.content, 'membership');
      if (typeof membership !== 'string' || pdu.state_key === undefined) return [];
      return [{ userId: pdu.state_key, membership, position, since: pdu.origin_server_ts }];
    });
  }
}
