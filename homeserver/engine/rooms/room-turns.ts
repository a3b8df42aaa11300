/** Whose the wish is: of the people here, or of another server. */
export type Whose = 'own' | 'foreign';

/** So many wishes of our own are met in a row while others wait. */
const OWN_IN_A_ROW = 8;

interface Line {
  readonly own: (() => Promise<void>)[];
  readonly foreign: (() => Promise<void>)[];
  ownInARow: number;
}

/**
 * The turns of rooms: whatever changes a room runs in its turn, one task after another. What people here do (moderation
 * above all) goes before what other servers sent, without shutting these out.
 *
 * Nobody asks another server within a turn: one that does not answer would lock the room. What a task lacks is asked for
 * outside, and looked at again in the next turn (`Receiver`).
 */
export class RoomTurns {
  readonly #lines = new Map<string, Line>();

  /** @returns what the task returns; a failed task does not keep the next from running */
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
      // Nobody waits for the line as a whole.
      this.#work(roomId, fresh).catch(reject);
    }
    return promise;
  }

  /** Does not reject: a turn gives its failure to who waits for it. */
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
