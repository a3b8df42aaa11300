/** Tells people in a conference of the roles that somebody has given and taken, as the room's power levels say it. */
import { serverOf } from '../../../federation/event.ts';
import { MOST_NAMES, type ModerationAction } from '../../../protocol/modules/moderation.ts';
import type { Role } from '../../../protocol/rights.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { nameIn } from '../people.ts';
import type { Conference } from './conference.ts';

/** Somebody's role is another one than before. */
export interface RoleChange {
  readonly participantId: string;
  readonly userId: string;
  readonly displayName: string;
  readonly role: Role;
}

const ACTIONS: Readonly<Record<Role, ModerationAction>> = {
  owner: 'make-owner',
  moderator: 'make-moderator',
  participant: 'make-participant',
  guest: 'make-participant',
};

/** Everybody learns who has changed whose role; who has changed it knows it. */
export async function tellRoles(
  rooms: Pick<Rooms, 'stateEvent'>,
  conference: Conference,
  changes: readonly RoleChange[],
): Promise<void> {
  const { roomId } = conference;
  const levels = await rooms.stateEvent(roomId, 'm.room.power_levels', '');
  if (!levels || changes.length === 0) return;
  const { sender } = levels.pdu;
  const member = await rooms.stateEvent(roomId, 'm.room.member', sender);
  const by = { by: nameIn(member?.pdu, sender), organisation: serverOf(sender) };
  for (const action of new Set(Object.values(ACTIONS))) {
    const people = changes.filter(({ role }) => ACTIONS[role] === action);
    const names = new Map(people.map(({ userId, displayName }) => [userId, displayName]));
    if (names.size === 0) continue;
    for (const local of conference.locals.values()) {
      if (local.userId === sender) continue;
      if (names.has(local.userId)) local.notifier?.notify('moderation.done', { action, ...by });
      else {
        const whom = [...names.values()].slice(0, MOST_NAMES);
        local.notifier?.notify('moderation.told', { action, ...by, whom, count: names.size });
      }
    }
  }
}
