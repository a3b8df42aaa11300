/** The responses of `/sync` and the older event stream: what the parts have, waiting for it when there is nothing. */
import type { Rooms } from '../rooms/rooms.ts';
import type { Notifier } from '../stream/notifier.ts';
import type { Positions } from '../stream/positions.ts';
import { askedRooms } from './asked-rooms.ts';
import { emptyAnswer, hasNews } from './part.ts';
import type { AskedRooms, SyncAnswer, SyncPart, SyncQuestion } from './part.ts';

export interface AnswersOptions {
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly parts: readonly SyncPart[];
}

/**
 * Collects from the parts until one has something, or the time limit is reached.
 *
 * @param deadline in ms since 1970
 * @returns the response, and the question for which it was made, with the final position
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

  /** Drops rooms that became invisible meanwhile; a room that was left and forgotten is in the next response. */
  async function leaveOutInvisible({ userId, upTo }: SyncQuestion, answer: SyncAnswer): Promise<void> {
    if (!rooms.movedAfter(upTo)) return;
    for (const roomId of Object.keys(answer.rooms.join)) {
      if (!(await rooms.standing(roomId, userId))) Reflect.deleteProperty(answer.rooms.join, roomId);
    }
  }

  return async (asked, deadline, aborted) => {
    for (;;) {
      // Start waiting before collecting, so that changes in between wake us.
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
        if (hasNews(answer) || asked.since === undefined || asked.fullState || Date.now() >= deadline) {
          return { question, answer };
        }
        if (!(await wait.news)) return { question, answer };
        // A change at a lower position may still be in progress; the one that woke us is not sent before that is
        // stored.
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
