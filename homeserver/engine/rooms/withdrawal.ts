/** Who may end an invitation or a knock of one of our users in a room that this server is not in. */
import { isCreate, serverOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import { powerLevelOf, powerLevels } from '../../../federation/power-levels.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import { stateViewOf } from '../../../federation/state-view.ts';
import type { Invitation } from './invitations.ts';

/**
 * Whether a leave or ban of a user of ours counts, as far as this server knows the rules of the room: what came with the
 * invitation or the answer to the knock is all it knows of it. The user may, the inviter may take the invitation back,
 * and so may those who may kick or ban. Who may refuse a knock is not known where no power levels came with the answer;
 * then the word of the server that took the knock counts.
 *
 * @param origin the server that told of it
 * @see docs/federation.md, "Invitations"
 */
export function mayEnd(invitation: Invitation, pdu: Pdu, origin: string): boolean {
  const { sender } = pdu;
  const membership = member(pdu.content, 'membership');
  if (sender === invitation.userId) return membership === 'leave';
  if (invitation.membership === 'invite' && sender === invitation.sender && membership === 'leave') return true;
  const version = roomVersion(invitation.version);
  const view = stateViewOf(invitation.state);
  const knowsLevels = view.get('m.room.power_levels', '') !== undefined;
  if (invitation.membership === 'knock' && !knowsLevels) return serverOf(invitation.sender) === origin;
  if (!version || !invitation.state.some(isCreate)) return false;
  const levels = powerLevels(view);
  const own = powerLevelOf(sender, version, view);
  const needed = membership === 'ban' ? levels.ban : levels.kick;
  return own >= needed && own > powerLevelOf(invitation.userId, version, view);
}
