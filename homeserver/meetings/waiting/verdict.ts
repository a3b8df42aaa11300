/** What becomes of somebody of this instance who waits for a place in a conference, by the room as it is now. */
import type { WaitingReason } from '../../../protocol/waiting.ts';
import { serverOf } from '../../../federation/event.ts';
import { MatrixError } from '../../base/errors.ts';
import type { LocalRights } from '../../engine/rooms/ports.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { letsGuestsIn } from '../conference/admission.ts';
import type { EntryRule } from '../conference/entry-rule.ts';

export type Verdict =
  | { readonly kind: 'waits'; readonly reason: WaitingReason }
  /** May have a place. `way`: how to come into the room first, in whose name if by nobody's invitation. */
  | { readonly kind: 'enters'; readonly way: 'is-in' | 'accept' | { readonly by: string } }
  | { readonly kind: 'over'; readonly outcome: 'refused' | 'ended' };

export interface VerdictDeps {
  readonly serverName: string;
  readonly rooms: Pick<Rooms, 'joinedServers' | 'membership' | 'stateEvent' | 'serverAllowed' | 'invitation'>;
  readonly entry: Pick<EntryRule, 'reason' | 'admission'>;
  readonly standing: LocalRights;
  /** In whose name somebody is let in who came by a link; undefined for who came by none that still lets them in. */
  linkInviter(roomId: string, userId: string): Promise<string | undefined>;
}

export interface Asker {
  readonly userId: string;
  readonly guest: boolean;
  /** Outside of the room: an invitation later than this stream position is an admission. */
  readonly position: number;
  /** Outside of the room: an instance in it has said that the person may come. */
  readonly freed: boolean;
}

const WAITS = { kind: 'waits', reason: 'waiting-room' } as const;
const REFUSED = { kind: 'over', outcome: 'refused' } as const;
const ENDED = { kind: 'over', outcome: 'ended' } as const;

export async function verdictOn(deps: VerdictDeps, roomId: string, asker: Asker): Promise<Verdict> {
  const { rooms, serverName, standing } = deps;
  try {
    await standing.require(asker.userId, 'enter');
  } catch (error) {
    if (error instanceof MatrixError) return ENDED;
    throw error;
  }
  const isInside = (await rooms.joinedServers(roomId)).has(serverName);
  return isInside ? verdictInside(deps, roomId, asker) : verdictOutside(deps, roomId, asker);
}

async function verdictInside(deps: VerdictDeps, roomId: string, { userId, guest }: Asker): Promise<Verdict> {
  const { rooms, serverName, entry, linkInviter } = deps;
  const [member, admission, tombstone, serverAllowed, guestsAllowed] = await Promise.all([
    rooms.stateEvent(roomId, 'm.room.member', userId),
    entry.admission(roomId, userId),
    rooms.stateEvent(roomId, 'm.room.tombstone', ''),
    rooms.serverAllowed(roomId, serverName),
    guest ? letsGuestsIn(rooms, roomId) : true,
  ]);
  const membership = member?.pdu.content['membership'];
  if (membership === 'ban') return REFUSED;
  if (tombstone || !serverAllowed || !guestsAllowed) return ENDED;
  const isOut = membership !== 'join' && membership !== 'invite' && membership !== 'knock';
  const inviter = isOut && guest ? await linkInviter(roomId, userId) : undefined;
  // Who was admitted and has left since, or was removed, comes in by that no more.
  const isKnown = admission && (!isOut || !admission.admitted || admission.position > (member?.position ?? 0));
  if (isOut) {
    if (admission?.refused === true) return REFUSED;
    // Who was taken out of the room waits only where a moderator has said so.
    if (membership === 'leave' && member?.pdu.sender !== userId && !isKnown) return REFUSED;
    if (inviter === undefined && !isKnown) return ENDED;
  }
  const reason = await entry.reason(roomId, { userId, guest });
  if (reason) return { kind: 'waits', reason };
  if (membership === 'join') return { kind: 'enters', way: 'is-in' };
  if (membership === 'invite') return { kind: 'enters', way: 'accept' };
  // Whom a moderator of ours admits comes in at once; others send an invitation, which is on its way.
  if (isKnown && serverOf(admission.by) === serverName) {
    return { kind: 'enters', way: { by: admission.by } };
  }
  return inviter === undefined ? WAITS : { kind: 'enters', way: { by: inviter } };
}

/** All that is known of the room is the invitation, or the knock. */
async function verdictOutside(
  { rooms, entry }: VerdictDeps,
  roomId: string,
  { userId, guest, position, freed }: Asker,
): Promise<Verdict> {
  const known = await rooms.invitation(roomId, userId);
  // Whoever was the last of us in the room, and was sent back, is outside of it since.
  const admission = known ? undefined : await entry.admission(roomId, userId);
  if (admission && !admission.admitted) return admission.refused === true ? REFUSED : WAITS;
  if (known?.membership === 'knock') return WAITS;
  if (known?.membership !== 'invite') return known && known.position > position ? REFUSED : ENDED;
  if (freed || known.position > position) return { kind: 'enters', way: 'accept' };
  const reason = await entry.reason(roomId, { userId, guest });
  return reason ? { kind: 'waits', reason } : { kind: 'enters', way: 'accept' };
}
