/** Who may end an out-of-band membership of a local user. */
import { isCreate, serverOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import { powerLevelOf, powerLevels } from '../../../federation/power-levels.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import { stateViewOf } from '../../../federation/state-view.ts';
import type { Invitation } from './invitations.ts';

/**
 * Whether a leave or ban of a local user is allowed, as far as this server knows the rules of the room: it only has the
 * stripped state that came with the invite or the knock. The user may end it, the inviter may rescind the invite, and
 * so may users who may kick or ban. If no power levels came with the knock, it is unknown who may reject it; then the
 * server that accepted the knock is trusted.
 *
 * @param origin the server that sent it
 * @see docs/federation.md, "Invitations"
 */
export function mayRescind(invitation: Invitation, pdu: Pdu, origin: string): boolean {
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
