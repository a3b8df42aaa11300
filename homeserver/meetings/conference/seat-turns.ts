/** The turns of seats: whatever changes the place of one device in a conference runs one after the other. */
import { Serial } from '../../base/serial.ts';
import { participantIdOf } from './membership.ts';
import type { Place } from './places.ts';

/** Changes of one seat that may wait for their turn; a client that asks for more is refused. */
const MAX_WAITING = 40;

/** A request needs a seat that the asker does not have (any more, or yet), or asks too much of it. */
export class SeatError extends Error {
  readonly code: 'not-in-conference' | 'must-wait' | 'too-many-requests';
  constructor(code: SeatError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Whose place it is. */
export type PlaceKey = Pick<Place, 'roomId' | 'userId' | 'deviceId'>;

export class SeatTurns {
  readonly #turns = new Serial();
  readonly #waiting = new Map<string, number>();

  /** For what has to happen, however many wait. */
  run<T>(place: PlaceKey, task: () => Promise<T>): Promise<T> {
    return this.#turns.run(keyOf(place), task);
  }

  /** For what a client asks. @throws SeatError when it has asked for too much */
  async request<T>(place: PlaceKey, task: () => Promise<T>): Promise<T> {
    const key = keyOf(place);
    const waiting = this.#waiting.get(key) ?? 0;
    if (waiting >= MAX_WAITING) throw new SeatError('too-many-requests', 'Too much at once. Please wait a moment.');
    this.#waiting.set(key, waiting + 1);
    try {
      return await this.#turns.run(key, task);
    } finally {
      const left = (this.#waiting.get(key) ?? 1) - 1;
      if (left > 0) this.#waiting.set(key, left);
      else this.#waiting.delete(key);
    }
  }
}

function keyOf({ roomId, userId, deviceId }: PlaceKey): string {
  return `${roomId} ${participantIdOf(userId, deviceId)}`;
}
