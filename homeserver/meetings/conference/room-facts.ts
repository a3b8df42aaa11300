/** What people in a conference see of its room: its title, and who somebody is there. */
import { stateKey } from '../../../federation/auth-rules.ts';
import { displayTitle } from '../../../protocol/display-text.ts';
import type { Participant } from '../../../protocol/session.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { isGuest, nameIn } from '../people.ts';

/** Who somebody is in the room, beyond the membership in the conference. */
export interface Person {
  displayName: string;
  role: Participant['role'];
  guest: boolean;
}

/** The name of a meeting, or an empty text. */
export function titleOf(state: ReadonlyMap<string, StoredEvent>): string {
  return titleIn(state.get(stateKey('m.room.name', '')));
}

/** The same, from the event that holds the name. */
export function titleIn(name: StoredEvent | undefined): string {
  return displayTitle(name?.pdu.content['name']) ?? '';
}

/** @param saidGuest whether the membership in the conference names a guest */
export async function personIn(
  { rooms, serverName }: { readonly rooms: Pick<Rooms, 'stateEvent' | 'powerLevel'>; readonly serverName: string },
  roomId: string,
  userId: string,
  saidGuest: boolean,
): Promise<Person> {
  const [member, create, power] = await Promise.all([
    rooms.stateEvent(roomId, 'm.room.member', userId),
    rooms.stateEvent(roomId, 'm.room.create', ''),
    rooms.powerLevel(roomId, userId),
  ]);
  const owner = create?.pdu.sender === userId;
  const guest = saidGuest || isGuest(userId, member?.pdu, serverName);
  return {
    displayName: nameIn(member?.pdu, userId),
    role: owner ? 'owner' : power >= 50 ? 'moderator' : guest ? 'guest' : 'participant',
    guest,
  };
}
