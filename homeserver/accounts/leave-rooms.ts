import type { Logger } from 'pino';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Accounts } from './accounts.ts';

/** Makes deactivated users leave all rooms, decline invites and retract knocks. */
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

  /** Runs in the background, and resumes after a restart. */
  leave(userId: string): void {
    this.#leaveAll(userId).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'a deactivated user could not leave their rooms'),
    );
  }

  /** Resumes what the last stop interrupted. */
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
        // The server of an invite may be gone; this does not affect the other rooms.
        complete = false;
        this.#log.warn({ err: error, roomId }, 'a deactivated user could not leave a room');
      }
    }
    if (complete && !this.#closed) await this.#accounts.setOutOfRooms(userId);
  }
}
