/**
 * Who may be in the conference of a room: asked before a seat is taken and again when it is, and whenever the room
 * changes in one of these respects.
 */
import { MatrixError } from '../../base/errors.ts';
import type { LocalRights } from '../../engine/rooms/ports.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Removals } from './removals.ts';
import type { ServerAccess } from './server-access.ts';

type RoomFacts = Pick<Rooms, 'membership' | 'stateEvent'>;

export interface AdmissionDeps {
  readonly rooms: RoomFacts;
  readonly access: Pick<ServerAccess, 'allowed'>;
  /** Who was removed although the room does not say so yet. */
  readonly removals: Pick<Removals, 'holds'>;
  /** What the account of a person still allows. */
  readonly standing: LocalRights;
  readonly serverName: string;
}

export interface Admitted {
  readonly userId: string;
  readonly guest: boolean;
}

/** State events whose change may end somebody's right to be in the conference, besides memberships. */
export const ADMISSION_RULES: ReadonlySet<string> = new Set([
  'm.room.server_acl',
  'm.room.guest_access',
  'm.room.tombstone',
]);

/** Whether a room lets guests take part. @see Matrix specification, client-server API, "Guest Access" */
export async function letsGuestsIn(rooms: Pick<Rooms, 'stateEvent'>, roomId: string): Promise<boolean> {
  const event = await rooms.stateEvent(roomId, 'm.room.guest_access', '');
  return event?.pdu.content['guest_access'] === 'can_join';
}

/** @throws MatrixError 403 when this person of the server may not be in the conference now */
export async function checkAdmission(
  { rooms, access, removals, standing, serverName }: AdmissionDeps,
  roomId: string,
  { userId, guest }: Admitted,
): Promise<void> {
  await standing.require(userId, 'write');
  const [membership, removed, serverAllowed, tombstone, guestsAllowed] = await Promise.all([
    rooms.membership(roomId, userId),
    removals.holds(roomId, userId),
    access.allowed(roomId, serverName),
    rooms.stateEvent(roomId, 'm.room.tombstone', ''),
    guest ? letsGuestsIn(rooms, roomId) : true,
  ]);
  if (membership !== 'join' || removed)
    throw new MatrixError(403, 'M_FORBIDDEN', 'You are not a member of this meeting.');
  if (!serverAllowed) throw new MatrixError(403, 'M_FORBIDDEN', 'Your organisation is shut out of this meeting.');
  if (tombstone) throw new MatrixError(403, 'M_FORBIDDEN', 'This meeting has ended.');
  if (!guestsAllowed) {
    throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'This meeting does not let guests in.');
  }
}
