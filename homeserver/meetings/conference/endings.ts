/** Why somebody is out of a conference, as the room tells it: what is done there by orders, and by Matrix clients as well. */
import { serverOf } from '../../../federation/event.ts';
import { ADMISSION } from '../../base/names.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { isGuest, nameIn } from '../people.ts';
import { letsGuestsIn } from './admission.ts';
import type { Ending } from './seats.ts';

interface Deps {
  readonly rooms: Pick<Rooms, 'stateEvent'>;
  readonly serverName: string;
}

/** What has ended the right of one of our people to be in the conference. */
export async function endingOf({ rooms, serverName }: Deps, roomId: string, userId: string): Promise<Ending> {
  const [member, tombstone, admission] = await Promise.all([
    rooms.stateEvent(roomId, 'm.room.member', userId),
    rooms.stateEvent(roomId, 'm.room.tombstone', ''),
    rooms.stateEvent(roomId, ADMISSION, `_${userId}`),
  ]);
  const byWhom = async (event: StoredEvent | undefined): Promise<Pick<Ending, 'by'>> => {
    const sender = event?.pdu.sender;
    if (sender === undefined || sender === userId) return {};
    const own = await rooms.stateEvent(roomId, 'm.room.member', sender);
    return { by: { userId: sender, displayName: nameIn(own?.pdu, sender), organisation: serverOf(sender) } };
  };
  const membership = member?.pdu.content['membership'];
  const isBack = admission?.pdu.content['admitted'] === false;
  if (membership === 'ban') return { reason: 'banned', ...(await byWhom(member)) };
  // The word comes first, and the end of the membership after it.
  const isSentBack = membership === 'join' || (membership === 'leave' && admission?.pdu.sender === member?.pdu.sender);
  if (isBack && isSentBack) {
    return { reason: 'waiting', ...(await byWhom(admission)) };
  }
  if (membership !== 'join') return { reason: 'removed', ...(await byWhom(member)) };
  if (tombstone) return { reason: 'ended', ...(await byWhom(tombstone)) };
  if (isGuest(userId, member?.pdu, serverName) && !(await letsGuestsIn(rooms, roomId))) {
    const access = await rooms.stateEvent(roomId, 'm.room.guest_access', '');
    return { reason: 'ended', for: 'guests', ...(await byWhom(access)) };
  }
  return { reason: 'removed' };
}
