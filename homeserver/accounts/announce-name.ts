import type { Rooms } from '../rooms/rooms.ts';

/**
 * Tells all rooms of a user the new name, by a new membership event that differs in nothing else.
 *
 * @see Matrix specification, client-server API, "Events on Change of Profile Information"
 */
export async function announceName(rooms: Rooms, userId: string, name: string): Promise<void> {
  for (const { roomId } of await rooms.roomsOf(userId, ['join'])) {
    const membership = await rooms.stateEvent(roomId, 'm.room.member', userId);
    if (membership?.pdu.content['membership'] !== 'join') continue;
    await rooms.send(roomId, userId, {
      type: 'm.room.member',
      stateKey: userId,
      content: { ...membership.pdu.content, displayname: name },
    });
  }
}
