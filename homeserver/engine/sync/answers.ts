/** What `/sync` and the older event stream answer: what the parts tell, waited for when there is nothing. */
import type { Rooms } from '../rooms/rooms.ts';
import type { Notifier } from '../stream/notifier.ts';
import type { Positions } from '../stream/positions.ts';
import { askedRooms } from './asked-rooms.ts';
import { emptyAnswer, saysSomething } from './part.ts';
import type { AskedRooms, SyncAnswer, SyncPart, SyncQuestion } from './part.ts';

export interface AnswersOptions {
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly parts: readonly SyncPart[];
}

/**
 * Asks the parts until one says something, or the time is up.
 *
 * @param deadline in ms since 1970
 * @returns the question that was answered at last, with the newest position in it
 */
export type Answers = (
  asked: Omit<SyncQuestion, 'upTo' | 'rooms'>,
  deadline: number,
  aborted: AbortSignal,
) => Promise<{ question: SyncQuestion; answer: SyncAnswer }>;

export function answers({ rooms, positions, notifier, parts }: AnswersOptions): Answers {
  const [first, last] = (['rooms', 'push'] as const).map((name) => parts.find((part) => part.name === name));
  const others = parts.filter((part) => part !== first && part !== last);

  async function collect(question: SyncQuestion): Promise<SyncAnswer> {
    const answer = emptyAnswer();
    await first?.collect?.(question, answer);
    await Promise.all(others.map(async (part) => part.collect?.(question, answer)));
    await last?.collect?.(question, answer);
    await leaveOutInvisible(question, answer);
    return answer;
  }

  /** A room that was left and forgotten while the parts were asked is told of by the next answer. */
  async function leaveOutInvisible({ userId, upTo }: SyncQuestion, answer: SyncAnswer): Promise<void> {
    if (!rooms.movedAfter(upTo)) return;
    for (const roomId of Object.keys(answer.rooms.join)) {
      if (!(await rooms.standing(roomId, userId))) Reflect.deleteProperty(answer.rooms.join, roomId);
    }
  }

  return async (asked, deadline, aborted) => {
    for (;;) {
      // Waiting begins before looking: what happens meanwhile wakes us.
      const own = asked.only === undefined ? await rooms.roomsOf(asked.userId, ['join']) : [];
      const wait = notifier.wait(
        asked.userId,
        asked.only === undefined ? own.map((entry) => entry.roomId) : [asked.only],
        Math.max(0, deadline - Date.now()),
        aborted,
      );
      try {
        const upTo = positions.current;
        const about =
          asked.only === undefined ? await askedRooms(rooms, { ...asked, upTo }) : oneRoom(asked.only, asked.since);
        const question = { ...asked, upTo, rooms: about };
        const answer = await collect(question);
        if (saysSomething(answer) || asked.since === undefined || asked.fullState || Date.now() >= deadline) {
          return { question, answer };
        }
        if (!(await wait.news)) return { question, answer };
        // A change at a lower position may still be being stored; what woke us is not told before that is.
        await positions.reached();
      } finally {
        wait.end();
      }
    }
  };
}

function oneRoom(roomId: string, since: number | undefined): AskedRooms {
  return { joined: new Map([[roomId, { roomId, since }]]), entered: new Set(), exited: new Set(), others: [] };
}
