/** Wakes requests that wait for changes, such as a `/sync`. It says who should check, not what changed. */

/** Delay that lets events of one burst be handled together, in ms. */
const BURST_MS = 10;
/** A request that has waited this long is not in a burst, and is woken sooner, in ms. */
const QUIET_MS = 30;
/** Delay that lets the changes of one transaction be sent together, in ms. */
const BREATH_MS = 2;

interface Waiter {
  readonly userId: string;
  readonly rooms: ReadonlySet<string>;
  readonly wake: () => void;
}

export class Notifier {
  readonly #byUser = new Map<string, Set<Waiter>>();
  readonly #byRoom = new Map<string, Set<Waiter>>();

  /** Wakes all requests of these users. To be called after the change was stored and its position settled. */
  wakeUsers(userIds: Iterable<string>): void {
    for (const userId of userIds) for (const waiter of this.#byUser.get(userId) ?? []) waiter.wake();
  }

  /** Wakes all requests of users in these rooms. */
  wakeRooms(roomIds: Iterable<string>): void {
    for (const roomId of roomIds) for (const waiter of this.#byRoom.get(roomId) ?? []) waiter.wake();
  }

  /**
   * Begins to wait: changes from now on are not missed, even before `news` is awaited.
   *
   * @param rooms the rooms that the user is in
   * @param waitMs time limit, in ms
   */
  wait(userId: string, rooms: Iterable<string>, waitMs: number, aborted: AbortSignal): Wait {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const since = performance.now();
    let woken = false;
    const wake = (): void => {
      if (woken) return;
      woken = true;
      const quiet = performance.now() - since > QUIET_MS;
      setTimeout(() => done(true), quiet ? BREATH_MS : BURST_MS);
    };
    const waiter: Waiter = { userId, rooms: new Set(rooms), wake };
    const timer = setTimeout(() => done(false), waitMs);
    const giveUp = (): void => done(false);
    const done = (news: boolean): void => {
      clearTimeout(timer);
      aborted.removeEventListener('abort', giveUp);
      this.#remove(waiter);
      resolve(news);
    };
    aborted.addEventListener('abort', giveUp);
    add(this.#byUser, userId, waiter);
    for (const roomId of waiter.rooms) add(this.#byRoom, roomId, waiter);
    return { news: promise, end: giveUp };
  }

  #remove(waiter: Waiter): void {
    remove(this.#byUser, waiter.userId, waiter);
    for (const roomId of waiter.rooms) remove(this.#byRoom, roomId, waiter);
  }
}

export interface Wait {
  /** True when there may be changes, false when the time limit was reached. */
  readonly news: Promise<boolean>;
  /** Stops waiting. */
  end(): void;
}

function add(map: Map<string, Set<Waiter>>, key: string, waiter: Waiter): void {
  const set = map.get(key);
  if (set) set.add(waiter);
  else map.set(key, new Set([waiter]));
}

function remove(map: Map<string, Set<Waiter>>, key: string, waiter: Waiter): void {
  const set = map.get(key);
  set?.delete(waiter);
  if (set?.size === 0) map.delete(key);
}
