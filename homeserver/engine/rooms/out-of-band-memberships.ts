/**
 * Out-of-band memberships of local users (invites and knocks in rooms that this server is not in): how they are
 * received, and how they end.
 */
import type { Logger } from 'pino';
import { eventId, hashAndSign, serverOf } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import type { Positions } from '../stream/positions.ts';
import type { Invitation, Invitations } from './invitations.ts';
import type { Members } from './members.ts';
import type { Knocked, RemoteMemberships } from './ports.ts';
import type { RoomListeners } from './room-listeners.ts';
import type { RoomTurns } from './room-turns.ts';
import { mayRescind } from './rescinding.ts';

export interface OutOfBandMembershipsDeps {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly positions: Positions;
  readonly remoteMemberships: () => RemoteMemberships;
  readonly turns: RoomTurns;
  readonly listeners: RoomListeners;
  readonly log: Logger;
}

export class OutOfBandMemberships {
  readonly #deps: OutOfBandMembershipsDeps;

  constructor(deps: OutOfBandMembershipsDeps) {
    this.#deps = deps;
    deps.listeners.onEvent(({ roomId, pdu }) => {
      const userId = pdu.type === 'm.room.member' ? pdu.state_key : undefined;
      if (userId === undefined || serverOf(userId) !== deps.serverName) return;
      const isEnd = pdu.content['membership'] === 'leave' || pdu.content['membership'] === 'ban';
      (isEnd ? this.#adoptEarly(roomId) : deps.invitations.removeEarly(roomId, userId)).catch((error: unknown) => {
        deps.log.error({ err: error, roomId }, 'an early invite was not looked at');
      });
    });
  }

  /** Declines an invite or retracts a knock, even if the other server cannot be reached. */
  async decline(invitation: Invitation, content: JsonObject): Promise<void> {
    const { roomId, userId } = invitation;
    let event: Pdu | undefined;
    try {
      event = await this.#deps.remoteMemberships().leave(roomId, userId, [serverOf(invitation.sender)], content);
    } catch (error) {
      // The user has declined; an unreachable server must not bring the invite back.
      this.#deps.log.info({ err: error, roomId }, 'an invite was declined, but its server could not be reached');
    }
    await this.#end(invitation, event ?? this.#ownLeave(invitation, content));
  }

  /** A leave that no server of the room has, for those who follow the memberships of a user. */
  #ownLeave({ roomId, userId, version, event }: Invitation, content: JsonObject): Pdu {
    const rules = roomVersion(version);
    if (!rules) throw new Error(`Room version ${version} is not supported any more.`);
    const leave = {
      type: 'm.room.member',
      room_id: roomId,
      sender: userId,
      state_key: userId,
      content,
      depth: event.depth + 1,
      prev_events: [eventId(event, rules)],
      auth_events: [],
      origin_server_ts: Date.now(),
    };
    return hashAndSign(leave as UnsignedPdu, rules, this.#deps.serverName, this.#deps.key);
  }

  /**
   * Applies a leave or ban of a local user in a room that this server is not in: an invite was rescinded or a knock
   * rejected. Signatures are verified by the caller.
   *
   * @param origin the server that sent it
   * @returns false when its sender may not do that
   */
  async withdraw(roomId: string, pdu: Pdu, origin: string): Promise<boolean> {
    const invitation = await this.#deps.invitations.find(roomId, pdu.state_key ?? '');
    if (!invitation || !mayRescind(invitation, pdu, origin)) return false;
    // Invites are sent directly, what ends them in transactions: this may end an older one.
    if (pdu.depth > invitation.event.depth) await this.#end(invitation, pdu);
    return true;
  }

  async #end(invitation: Invitation, event: Pdu): Promise<void> {
    const { since } = invitation;
    await this.#keep({ ...invitation, event, membership: 'leave', state: [] }, since);
  }

  /** Stores a local user's knock that another server accepted. */
  async adoptKnock(roomId: string, userId: string, { server, version, event, state }: Knocked): Promise<void> {
    await this.#keep({
      roomId,
      userId,
      sender: `@:${server}`,
      version: version.id,
      event,
      state,
      membership: 'knock',
    });
  }

  /**
   * Takes up invites that came before the end of the membership they follow. As long as this server is in the room, an
   * invite comes with the room's events.
   */
  async #adoptEarly(roomId: string): Promise<void> {
    const { members, invitations, serverName } = this.#deps;
    if ((await members.servers(roomId)).has(serverName)) return;
    for (const early of await invitations.earlyOf(roomId)) {
      await this.adoptInvite(early);
      await invitations.removeEarly(roomId, early.userId);
    }
  }

  /**
   * Stores a local user's invite to a room that this server is not in. By our own state it may still be: an invite is sent
   * directly and overtakes the removal that it follows, which comes in a transaction.
   */
  async adoptInvite(invitation: Omit<Invitation, 'position' | 'since' | 'membership'>): Promise<void> {
    await this.#keep({ ...invitation, membership: 'invite' });
  }

  /** The user may have joined the room during the request: then the room's own state applies. */
  async #keep(
    invitation: Omit<Invitation, 'position' | 'since'>,
    since = invitation.event.origin_server_ts,
  ): Promise<void> {
    const { serverName, members, turns, positions, invitations, listeners } = this.#deps;
    const { roomId, userId } = invitation;
    await turns.run(roomId, 'own', async () => {
      if ((await members.servers(roomId)).has(serverName)) {
        const isEarly = invitation.membership === 'invite' && (await members.membership(roomId, userId)) === 'join';
        if (isEarly) await invitations.putEarly({ ...invitation, since });
        return;
      }
      await positions.with((position) => invitations.put({ ...invitation, position, since }));
      listeners.emitInvitation({ ...invitation, position: positions.current });
    });
  }
}
