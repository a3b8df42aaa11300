/** Who caused a task: a local user, or another server. */
export type Whose = 'own' | 'foreign';

/** So many local tasks run in a row while remote ones wait. */
const OWN_IN_A_ROW = 8;

interface Line {
  readonly own: (() => Promise<void>)[];
  readonly foreign: (() => Promise<void>)[];
  ownInARow: number;
}

/**
 * The turns of rooms: whatever changes a room runs in its turn, one task after another. Tasks of local users
 * (moderation above all) go before events of other servers, without starving these.
 *
 * No requests to other servers are made within a turn: one that does not respond would block the room. What a task
 * lacks is fetched outside, and the task runs again in another turn (`Receiver`).
 */
export class RoomTurns {
  readonly #lines = new Map<string, Line>();

  /** @returns what the task returns; the next task runs even if this one fails */
  run<T>(roomId: string, whose: Whose, task: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const turn = async (): Promise<void> => {
      try {
        resolve(await task());
      } catch (error) {
        reject(error as Error);
      }
    };
    const line = this.#lines.get(roomId);
    if (line) {
      line[whose].push(turn);
    } else {
      const fresh: Line = { own: [], foreign: [], ownInARow: 0 };
      fresh[whose].push(turn);
      this.#lines.set(roomId, fresh);
      // Nobody waits for the queue as a whole.
      this.#work(roomId, fresh).catch(reject);
    }
    return promise;
  }

  /** Does not reject: each task's failure goes to its caller. */
  async #work(roomId: string, line: Line): Promise<void> {
    for (let next = take(line); next !== undefined; next = take(line)) await next();
    this.#lines.delete(roomId);
  }
}

function take(line: Line): (() => Promise<void>) | undefined {
  const isOwn = line.own.length > 0 && (line.foreign.length === 0 || line.ownInARow < OWN_IN_A_ROW);
  line.ownInARow = isOwn ? line.ownInARow + 1 : 0;
  return (isOwn ? line.own : line.foreign).shift();
}
