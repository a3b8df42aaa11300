import { LRUCache } from 'lru-cache';
import { FORKED_STATE_KEYS, FORKED_STATE_KEYS_A_SECOND } from '../../base/limits.ts';
import type { Room } from './room.ts';
import { differences } from './state-changes.ts';
import type { State } from './state-store.ts';

const REMEMBERED = 10_000;

/**
 * How much work servers make in a room by events that come after old ones. The state there is resolved with the current
 * one, and that costs in proportion to the state keys in which they differ, for each such event. A branch that was cut
 * off for a day fits in; who makes forks without end is taken as slowly as it costs no more than others notice.
 */
export class ForkBudget {
  readonly #left = new LRUCache<string, { keys: number; at: number }>({ max: REMEMBERED });

  /** Whether a server has to wait. */
  isUsedUp(roomId: string, server: string): boolean {
    return this.#of(roomId, server) <= 0;
  }

  /** How long a server has to wait then, in ms. */
  waitMs(roomId: string, server: string): number {
    return Math.max(1, Math.ceil((-this.#of(roomId, server) / FORKED_STATE_KEYS_A_SECOND) * 1000));
  }

  /** How many state keys differ between a state and the current one of the room. */
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
