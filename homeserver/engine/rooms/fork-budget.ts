import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { FORKED_STATE_KEYS, FORKED_STATE_KEYS_A_SECOND } from '../../base/limits.ts';
import type { Room } from './room.ts';
import { differences } from './state-changes.ts';
import type { State } from './state-store.ts';

const REMEMBERED = 10_000;

/**
 * Limits the state resolution that a server causes in a room with events that fork off old ones. Such a state is
 * resolved with the current one, at a cost proportional to the number of state keys in which they differ. A branch from
 * a day's partition fits in; endless forks are processed so slowly that others do not notice.
 */
export class ForkBudget {
  readonly #left = new LRUCache<string, { keys: number; at: number }>(atMost(REMEMBERED));

  /** Whether a server has used up its budget in a room. */
  isUsedUp(roomId: string, server: string): boolean {
    return this.#of(roomId, server) <= 0;
  }

  /** How long until it has budget again, in ms. */
  waitMs(roomId: string, server: string): number {
    return Math.max(1, Math.ceil((-this.#of(roomId, server) / FORKED_STATE_KEYS_A_SECOND) * 1000));
  }

  /** The cost of a state: in how many keys it differs from the current state of the room. */
  cost(room: Room, state: State): number {
    return state.group === room.state.group ? 0 : differences(state.map, room.state.map).length;
  }

  use(roomId: string, server: string, cost: number): void {
    if (cost === 0) return;
    this.#left.set(keyOf(roomId, server), { keys: this.#of(roomId, server) - cost, at: Date.now() });
  }

  #of(roomId: string, server: string): number {
    const entry = this.#left.get(keyOf(roomId, server));
    if (entry === undefined) return FORKED_STATE_KEYS;
    return Math.min(FORKED_STATE_KEYS, entry.keys + ((Date.now() - entry.at) / 1000) * FORKED_STATE_KEYS_A_SECOND);
  }
}

function keyOf(roomId: string, server: string): string {
  return `${roomId}\n${server}`;
}
