import type { Logger } from 'pino';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Accounts } from './accounts.ts';

/** Takes users whose account has ended out of all rooms, and takes back what stands between. */
export class RoomLeaver {
  readonly #accounts: Accounts;
  readonly #rooms: Rooms;
  readonly #log: Logger;
  #closed = false;

  constructor(accounts: Accounts, rooms: Rooms, log: Logger) {
    this.#accounts = accounts;
    this.#rooms = rooms;
    this.#log = log;
  }

  /** Goes on by itself, and at the next start where it was interrupted. */
  leave(userId: string): void {
    this.#leaveAll(userId).catch((error: unknown) => this.#log.warn({ err: error }, 'rooms were not left'));
  }

  /** Goes on with what the last stop has interrupted. */
  async resume(): Promise<void> {
    for (const userId of await this.#accounts.endedInRooms()) this.leave(userId);
  }

  close(): void {
    this.#closed = true;
  }

  async #leaveAll(userId: string): Promise<void> {
    let complete = true;
    for (const { roomId } of await this.#rooms.roomsOf(userId, ['join', 'invite', 'knock'])) {
      if (this.#closed) return;
      try {
        await this.#rooms.leave(roomId, userId);
      } catch (error) {
        // The server of an invitation may be gone; the other rooms do not suffer from that.
        complete = false;
        this.#log.warn({ err: error, roomId }, 'a room was not left');
      }
    }
    if (complete && !this.#closed) await this.#accounts.setOutOfRooms(userId);
  }
}
