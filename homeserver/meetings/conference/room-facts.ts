/** What people in a conference see of its room: its title, and who somebody is there. */
import { stateKey } from '../../../federation/auth-rules.ts';
import { displayTitle } from '../../../protocol/display-text.ts';
import type { Role } from '../../../protocol/rights.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { isGuest, nameIn } from '../people.ts';
import type { Rights } from '../rights.ts';

/** Who somebody is in the room, beyond the membership in the conference. */
export interface Person {
  displayName: string;
  role: Role;
  guest: boolean;
}

/** The name of a meeting, or an empty text. */
export function titleOf(state: ReadonlyMap<string, StoredEvent>): string {
  return titleIn(state.get(stateKey('m.room.name', '')));
}

/** The same, from the event that holds the name. */
export function titleIn(name: Pick<StoredEvent, 'pdu'> | undefined): string {
  return displayTitle(name?.pdu.content['name']) ?? '';
}

export interface PersonDeps {
  readonly rooms: Pick<Rooms, 'stateEvent'>;
  readonly rights: Pick<Rights, 'roleOf'>;
  readonly serverName: string;
}

/** @param saidGuest whether the membership in the conference names a guest */
export async function personIn(
  { rooms, rights, serverName }: PersonDeps,
  roomId: string,
  userId: string,
  saidGuest: boolean,
): Promise<Person> {
  const [member, role] = await Promise.all([
    rooms.stateEvent(roomId, 'm.room.member', userId),
    rights.roleOf(roomId, userId),
  ]);
  const guest = saidGuest || isGuest(userId, member?.pdu, serverName);
  return {
    displayName: nameIn(member?.pdu, userId),
    role: guest && role === 'participant' ? 'guest' : role,
    guest,
  };
}
