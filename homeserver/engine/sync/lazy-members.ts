/**
 * Which membership events a client that loads members lazily gets, and which it already has.
 *
 * @see Matrix specification, client-server API, "Lazy-loading room members"
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { splitStateKey, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';

/** Devices whose members are remembered, and members of all of them. What is evicted is sent again. */
const DEVICES = 10_000;
const MEMBERS = 100_000;

export class LazyMembers {
  /** Sent event ids, by the generation of the device (incremented by each initial sync), room and user. */
  readonly #sent = new LRUCache<string, string>(atMost(MEMBERS));
  readonly #generations = new LRUCache<string, number>(atMost(DEVICES));
  #lastGeneration = 0;

  /** An initial sync: the device has no members yet. */
  forget(device: string): void {
    this.#generations.delete(device);
  }

  /**
   * Drops membership events that the client does not need.
   *
   * @param state what would be sent without lazy loading
   * @param needed users whose membership is needed; those not in `state` are looked up in `whole`
   * @param keep whether to send a membership although it is not needed
   */
  select(
    device: string,
    roomId: string,
    state: ReadonlyMap<StateKey, string>,
    needed: Iterable<string>,
    whole: ReadonlyMap<StateKey, string>,
    options: { readonly redundant: boolean; readonly keep: (key: StateKey) => boolean },
  ): Map<StateKey, string> {
    const life = this.#generationOf(device);
    const nameOf = (userId: string): string => `${String(life)} ${roomId} ${userId}`;
    const selected = new Map<StateKey, string>();
    for (const [key, id] of state) {
      if (splitStateKey(key)[0] !== 'm.room.member' || options.keep(key)) selected.set(key, id);
    }
    for (const userId of needed) {
      const key = stateKey('m.room.member', userId);
      const changed = state.get(key);
      const id = changed ?? whole.get(key);
      if (id === undefined) continue;
      const known = this.#sent.get(nameOf(userId)) === id;
      if (changed !== undefined || !known || options.redundant) selected.set(key, id);
    }
    for (const [key, id] of selected) {
      const [type, userId] = splitStateKey(key);
      if (type === 'm.room.member') this.#sent.set(nameOf(userId), id);
    }
    return selected;
  }

  #generationOf(device: string): number {
    const known = this.#generations.get(device);
    if (known !== undefined) return known;
    this.#lastGeneration += 1;
    this.#generations.set(device, this.#lastGeneration);
    return this.#lastGeneration;
  }
}
