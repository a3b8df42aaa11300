/**
 * Which memberships a client gets that loads them lazily, and which it has got already.
 *
 * @see Matrix specification, client-server API, "Lazy-loading room members"
 */
import { splitStateKey, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import { Lru } from '../../rooms/lru.ts';

/** Devices whose memberships are remembered, and memberships of each. What is forgotten is told again. */
const DEVICES = 1_000;
const MEMBERS = 5_000;

export class LazyMembers {
  readonly #told = new Lru<string, Lru<string, string>>(DEVICES);

  /** The first sync of a device: it has nothing yet. */
  forget(device: string): void {
    this.#told.delete(device);
  }

  /**
   * Leaves out the memberships that a client does not need.
   *
   * @param state what would be told without lazy loading
   * @param needed users whose membership is needed; whoever is not in `state` is looked up in `whole`
   * @param keep whether a membership is told although nobody needs it
   */
  select(
    device: string,
    roomId: string,
    state: ReadonlyMap<StateKey, string>,
    needed: Iterable<string>,
    whole: ReadonlyMap<StateKey, string>,
    options: { readonly redundant: boolean; readonly keep: (key: StateKey) => boolean },
  ): Map<StateKey, string> {
    const told = this.#of(device);
    const selected = new Map<StateKey, string>();
    for (const [key, id] of state) {
      if (splitStateKey(key)[0] !== 'm.room.member' || options.keep(key)) selected.set(key, id);
    }
    for (const userId of needed) {
      const key = stateKey('m.room.member', userId);
      const changed = state.get(key);
      const id = changed ?? whole.get(key);
      if (id === undefined) continue;
      const known = told.get(`${roomId}\0${userId}`) === id;
      if (changed !== undefined || !known || options.redundant) selected.set(key, id);
    }
    for (const [key, id] of selected) {
      const [type, userId] = splitStateKey(key);
      if (type === 'm.room.member') told.set(`${roomId}\0${userId}`, id);
    }
    return selected;
  }

  #of(device: string): Lru<string, string> {
    const known = this.#told.get(device);
    if (known) return known;
    const fresh = new Lru<string, string>(MEMBERS);
    this.#told.set(device, fresh);
    return fresh;
  }
}
