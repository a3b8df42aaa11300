/** The memberships in a conference that stand in the state of its room. */
import { stateKey } from '../../../federation/auth-rules.ts';
import { serverOf } from '../../../federation/event.ts';
import { serverAllowed } from '../../../federation/server-acl.ts';
import { CALL_MEMBER } from '../../base/names.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Trust } from '../../engine/trust/trust.ts';
import { type CallMembership, readMembership } from './membership.ts';

/** How far the clocks of other servers are ahead of ours, in ms. */
export interface Clocks {
  clockAhead(server: string): number;
}

/** The memberships in a room's state that count: of people in the room, whose server is trusted and not shut out. */
export function* membershipsIn(
  state: ReadonlyMap<string, StoredEvent>,
  clocks: Clocks,
  trust: Pick<Trust, 'isTrusted'>,
): Iterable<{ event: StoredEvent; membership: CallMembership }> {
  const acl = state.get(stateKey('m.room.server_acl', ''))?.pdu.content;
  for (const event of state.values()) {
    const membership = membershipOf(event, clocks);
    if (!membership || !isJoined(state, membership.userId)) continue;
    const server = serverOf(membership.userId);
    if (serverAllowed(acl, server) && trust.isTrusted(server)) yield { event, membership };
  }
}

/** Times in a membership are of its sender's clock, so its end is, too. Here they are of ours. */
export function membershipOf({ pdu }: StoredEvent, clocks: Clocks): CallMembership | undefined {
  if (pdu.type !== CALL_MEMBER) return undefined;
  const ahead = clocks.clockAhead(serverOf(pdu.sender));
  const membership = readMembership(pdu, Date.now() + ahead);
  if (!membership || ahead === 0) return membership;
  return { ...membership, joinedAt: membership.joinedAt - ahead, expiresAt: membership.expiresAt - ahead };
}

/** Whether somebody is in the room. */
export function isJoined(state: ReadonlyMap<string, StoredEvent>, userId: string): boolean {
  return state.get(stateKey('m.room.member', userId))?.pdu.content['membership'] === 'join';
}
