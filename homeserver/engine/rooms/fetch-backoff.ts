import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';

/** The first pause after a failure, in ms; it doubles up to the last. */
const FIRST_PAUSE_MS = 2_000;
const LAST_PAUSE_MS = 60_000;
const REMEMBERED = 10_000;

/**
 * Back-off of fetches by server and room: when what an event of a server needed could not be fetched, nothing is
 * fetched for its next events in this room for a while. Those that need nothing are processed as usual, the others are
 * kept and retried.
 */
export class FetchBackoff {
  readonly #failures = new LRUCache<string, { count: number; until: number }>(atMost(REMEMBERED));

  has(roomId: string, origin: string): boolean {
    return (this.#failures.get(keyOf(roomId, origin))?.until ?? 0) > Date.now();
  }

  failed(roomId: string, origin: string): void {
    const key = keyOf(roomId, origin);
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(count - 1, 20));
    this.#failures.set(key, { count, until: Date.now() + pause });
  }

  succeeded(roomId: string, origin: string): void {
    this.#failures.delete(keyOf(roomId, origin));
  }
}

function keyOf(roomId: string, origin: string): string {
  return `${roomId}\n${origin}`;
}
