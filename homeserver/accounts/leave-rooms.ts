import type { Logger } from 'pino';
import type { Rooms } from '../rooms/rooms.ts';

/** Takes a user whose account has ended out of all rooms, and takes back what stands between. */
export async function leaveRooms(rooms: Rooms, userId: string, log: Logger): Promise<void> {
  for (const { roomId } of await rooms.roomsOf(userId, ['join', 'invite', 'knock'])) {
    try {
      await rooms.leave(roomId, userId);
    } catch (error) {
      // The server of an invitation may be gone; the other rooms do not suffer from that.
      log.warn({ err: error, roomId }, 'a room was not left');
    }
  }
}
