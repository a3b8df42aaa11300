import type { Logger } from 'pino';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Profiles } from './profiles.ts';

/**
 * Updates display name and avatar of a user in all rooms, by new membership events that change nothing else.
 *
 * @see Matrix specification, client-server API, "Events on Change of Profile Information"
 */
export class ProfileAnnouncer {
  readonly #rooms: Rooms;
  readonly #profiles: Profiles;
  readonly #log: Logger;
  readonly #running = new Map<string, Promise<void>>();

  constructor(rooms: Rooms, profiles: Profiles, log: Logger) {
    this.#rooms = rooms;
    this.#profiles = profiles;
    this.#log = log;
  }

  /** Resolves when all rooms are updated. A refusal by one room does not affect the others. */
  async announce(userId: string): Promise<void> {
    // Serialised, each with the profile of its time, so that the last change wins.
    const before = this.#running.get(userId) ?? Promise.resolve();
    const run = before.then(() => this.#tellRooms(userId));
    this.#running.set(userId, run);
    try {
      await run;
    } finally {
      if (this.#running.get(userId) === run) this.#running.delete(userId);
    }
  }

  async #tellRooms(userId: string): Promise<void> {
    const profile = await this.#profiles.membership(userId);
    for (const { roomId } of await this.#rooms.roomsOf(userId, ['join'])) {
      try {
        await this.#tell(roomId, userId, profile['displayname'], profile['avatar_url']);
      } catch (error) {
        this.#log.warn({ err: error, roomId }, 'a profile change could not be sent to a room');
      }
    }
  }

  async #tell(roomId: string, userId: string, name: unknown, picture: unknown): Promise<void> {
    const event = await this.#rooms.stateEvent(roomId, 'm.room.member', userId);
    const { displayname, avatar_url: avatarUrl, ...kept } = event?.pdu.content ?? {};
    if (kept['membership'] !== 'join' || (displayname === name && avatarUrl === picture)) return;
    await this.#rooms.send(roomId, userId, {
      type: 'm.room.member',
      stateKey: userId,
      content: {
        ...kept,
        ...(typeof name === 'string' ? { displayname: name } : {}),
        ...(typeof picture === 'string' ? { avatar_url: picture } : {}),
      },
    });
  }
}
