/** Wakes those who wait for news, such as a `/sync`. It says who may want to look, not what there is. */

/** Events of one burst are looked at together, in ms. */
const BURST_MS = 10;
/** Who has waited for so long is in no burst, and is woken sooner, in ms. */
const QUIET_MS = 30;
/** What one message of another server brings about is told together, in ms. */
const BREATH_MS = 2;

interface Waiter {
  readonly userId: string;
  readonly rooms: ReadonlySet<string>;
  readonly wake: () => void;
}

export class Notifier {
  readonly #byUser = new Map<string, Set<Waiter>>();
  readonly #byRoom = new Map<string, Set<Waiter>>();

  /** Wakes users, wherever they wait. To be called after the change was stored and its position settled. */
  wakeUsers(userIds: Iterable<string>): void {
    for (const userId of userIds) for (const waiter of this.#byUser.get(userId) ?? []) waiter.wake();
  }

  /** Wakes all who wait and are in one of these rooms. */
  wakeRooms(roomIds: Iterable<string>): void {
    for (const roomId of roomIds) for (const waiter of this.#byRoom.get(roomId) ?? []) waiter.wake();
  }

  /**
   * Begins to wait: what happens from now on is not missed, even before `news` is looked at.
   *
   * @param rooms the rooms that the user is in
   * @param waitMs at most so long
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
  /** True when somebody woke us, false when the time was up. */
  readonly news: Promise<boolean>;
  /** Ends the waiting now. */
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
