/** Joins, invites, knocks, leaves, kicks and bans by local users, in rooms here and on other servers. */
import { eventId, isUserId, serverOf } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import type { EventStore } from './event-store.ts';
import type { InTurn } from './in-turn.ts';
import type { PartialStateRooms } from './partial-state-rooms.ts';
import type { Invitations } from './invitations.ts';
import type { Judge } from './judge.ts';
import type { LocalEvents, NewEvent } from './local-events.ts';
import type { Members } from './members.ts';
import type { OutOfBandMemberships } from './out-of-band-memberships.ts';
import { withAccountNames } from './owned-state.ts';
import type { InvitePermissions, LocalRights, RemoteMemberships } from './ports.ts';
import { authoriser } from './restricted.ts';
import { currentId } from './room.ts';
import type { RoomTable } from './room.ts';
import type { StateResolver } from './state-resolver.ts';
import { strippedState } from './stripped-state.ts';
import type { Timeline } from './timeline.ts';
import { refusedByUs, UntrustedError } from '../trust/trust.ts';
import type { Trust } from '../trust/trust.ts';

export interface MembershipsDeps {
  readonly serverName: string;
  readonly events: EventStore;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly elsewhere: OutOfBandMemberships;
  readonly incomplete: PartialStateRooms;
  readonly judge: Judge;
  readonly resolver: StateResolver;
  readonly timeline: Timeline;
  readonly local: LocalEvents;
  readonly remoteMemberships: () => RemoteMemberships;
  readonly inTurn: InTurn;
  /** Display name and avatar of a local user, as in a membership event. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly rights: LocalRights;
  /** From whom local users accept invites. */
  readonly permissions: Pick<InvitePermissions, 'check'> | undefined;
  readonly trust: Pick<Trust, 'requireTrusted'> | undefined;
}

export class Memberships {
  readonly #deps: MembershipsDeps;

  constructor(deps: MembershipsDeps) {
    this.#deps = deps;
  }

  /** Joins a room, through another server if this one is not in it or cannot authorise the join. */
  async join(
    userId: string,
    roomId: string,
    options: { via?: readonly string[]; content?: JsonObject } = {},
  ): Promise<void> {
    const { serverName, members, invitations } = this.#deps;
    await this.#requireMayEnter(userId, roomId);
    const invitation = await invitations.find(roomId, userId);
    await this.#requireTrusted(invitation?.sender ?? (await this.#inviterHere(userId, roomId)));
    const profile = await this.#deps.profile(userId);
    const content = withAccountNames(
      { ...withoutAuthoriser(options.content ?? {}), ...profile, membership: 'join' },
      profile,
    );
    const via = new Set(options.via);
    const servers = await members.servers(roomId);
    if (this.#deps.incomplete.lacksMembers(roomId)) {
      if ((await members.membership(roomId, userId)) === 'join') return;
      // With partial state we cannot tell yet whether the user is banned.
      for (const server of servers) via.add(server);
    } else if (servers.has(serverName)) {
      try {
        await this.#joinHere(userId, roomId, content);
        return;
      } catch (error) {
        if (!isUnable(error) || servers.size === 1) throw error;
        for (const server of servers) via.add(server);
      }
    }
    if (invitation) via.add(serverOf(invitation.sender));
    addDomain(via, roomId);
    via.delete(serverName);
    if (via.size === 0)
      throw new MatrixError(404, 'M_NOT_FOUND', 'No server is known that is in this room. Name one with via.');
    await this.#deps.remoteMemberships().join(userId, roomId, [...via], content);
    await invitations.remove(roomId, userId);
  }

  /**
   * Joins a local user who wants to enter, by an invite of another local user, in one turn of the room, so that no
   * request sees the invite unanswered. The user's invite permissions do not apply, and nobody is notified of the invite.
   *
   * @throws MatrixError 403 when the user may not join or the inviter may not invite
   */
  async admit(roomId: string, inviter: string, userId: string): Promise<void> {
    await this.#requireMayEnter(userId, roomId);
    await this.#deps.incomplete.whole(roomId);
    const profile = await this.#deps.profile(userId);
    const { inTurn, local, judge } = this.#deps;
    await inTurn(roomId, async (room) => {
      const present = await judge.membership(room, userId);
      if (present === 'join') return;
      const become = async (sender: string, membership: string, isAsked = false): Promise<unknown> =>
        local.send(room, sender, {
          type: 'm.room.member',
          stateKey: userId,
          content: { ...profile, membership },
          isAsked,
        });
      // Whoever comes by a link is let in, known to the inviter or not.
      if (present !== 'invite') await become(inviter, 'invite', true);
      await become(userId, 'join');
    });
  }

  /** @throws MatrixError 403 */
  async #requireMayEnter(userId: string, roomId: string): Promise<void> {
    const { guest } = await this.#deps.rights.require(userId, 'enter');
    // The guest access of a room that we are not in is unknown here.
    if (guest && !(await this.#letsGuestsIn(roomId))) {
      throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'This room does not allow guests.');
    }
  }

  /** Who has invited somebody to a room that we are in. */
  async #inviterHere(userId: string, roomId: string): Promise<string | undefined> {
    const { rooms, events } = this.#deps;
    const room = await rooms.find(roomId);
    const id = room && currentId(room, 'm.room.member', userId);
    const event = id === undefined ? undefined : await events.get(id);
    return member(event?.pdu.content, 'membership') === 'invite' ? event?.pdu.sender : undefined;
  }

  /**
   * The invitation of an organisation that is not trusted is not accepted, by whatever server it came.
   *
   * @throws MatrixError 403 with the reason
   */
  async #requireTrusted(inviter: string | undefined): Promise<void> {
    if (inviter === undefined || serverOf(inviter) === this.#deps.serverName) return;
    try {
      await this.#deps.trust?.requireTrusted(serverOf(inviter));
    } catch (error) {
      throw error instanceof UntrustedError ? refusedByUs(error) : error;
    }
  }

  /** Whether a room allows guests; false for an unknown room. */
  async #letsGuestsIn(roomId: string): Promise<boolean> {
    const { rooms, events } = this.#deps;
    const room = await rooms.find(roomId);
    const id = room && currentId(room, 'm.room.guest_access', '');
    const event = id === undefined ? undefined : await events.get(id);
    return member(event?.pdu.content, 'guest_access') === 'can_join';
  }

  async #joinHere(userId: string, roomId: string, content: JsonObject): Promise<void> {
    await this.#deps.inTurn(roomId, async (room) => {
      if ((await this.#deps.judge.membership(room, userId)) === 'join') return;
      const vouching = await authoriser(this.#deps, room, userId);
      await this.#deps.local.send(room, userId, {
        type: 'm.room.member',
        stateKey: userId,
        content: { ...content, ...(vouching === undefined ? {} : { join_authorised_via_users_server: vouching }) },
      });
    });
  }

  /** Invites a user; a remote user's server has to sign the invite. @throws MatrixError @throws MatrixError */
  async invite(roomId: string, sender: string, target: string, content: JsonObject = {}): Promise<void> {
    if (!isUserId(target)) throw new MatrixError(400, 'M_INVALID_PARAM', `${target} is not a user id.`);
    const { serverName, events, inTurn, local, timeline, judge, resolver } = this.#deps;
    await this.#deps.incomplete.whole(roomId);
    const isLocal = serverOf(target) === serverName;
    if (isLocal) await this.checkWanted(target, sender);
    const event: NewEvent = {
      type: 'm.room.member',
      stateKey: target,
      content: { ...content, ...(isLocal ? await this.#deps.profile(target) : {}), membership: 'invite' },
    };
    if (isLocal) {
      await inTurn(roomId, (room) => local.send(room, sender, event));
      return;
    }
    // The other server is contacted outside the room's turn, so that the room does not wait for it.
    const { pdu, version, roomState } = await inTurn(roomId, async (room) => {
      const draft = local.sign(room, await local.draft(room, sender, event));
      await judge.authorise(room, room.state.map, draft, eventId(draft, room.version));
      return { pdu: draft, version: room.version, roomState: await strippedState(events, room, sender) };
    });
    const signed = await this.#deps.remoteMemberships().invite(pdu, version, target, roomState);
    await inTurn(roomId, async (room) => {
      const stateBefore = await resolver.stateBefore(room, signed.prev_events);
      const verdict = await judge.judge(room, signed, eventId(signed, version), stateBefore);
      if (verdict.rejected || verdict.softFailed) {
        throw new MatrixError(403, 'M_FORBIDDEN', verdict.reason ?? 'The invite is no longer allowed.');
      }
      await timeline.add({ room, pdu: signed, stateBefore, verdict, fanOut: 'all' });
    });
  }

  /**
   * @throws MatrixError 403 when a local user does not accept invites from the sender, 404 when the sender may not know
   *   of the user, as for nobody
   */
  async checkWanted(target: string, sender: string): Promise<void> {
    await this.#deps.local.requireKnown(sender, target);
    await this.#deps.permissions?.check(target, sender);
  }

  /**
   * Knocks on a room. @throws MatrixError 403 when the room does not allow knocks
   *
   * @throws MatrixError 403 when the room takes no knocks
   */
  async knock(userId: string, roomId: string, options: { via?: readonly string[]; reason?: string }): Promise<void> {
    const { serverName, members, inTurn, local } = this.#deps;
    await this.#deps.rights.require(userId, 'knock');
    const content: JsonObject = {
      ...(options.reason === undefined ? {} : { reason: options.reason }),
      ...(await this.#deps.profile(userId)),
      membership: 'knock',
    };
    if ((await members.servers(roomId)).has(serverName)) {
      await inTurn(roomId, (room) => local.send(room, userId, { type: 'm.room.member', stateKey: userId, content }));
      return;
    }
    const via = new Set(options.via);
    addDomain(via, roomId);
    via.delete(serverName);
    if (via.size === 0)
      throw new MatrixError(404, 'M_NOT_FOUND', 'No server is known that is in this room. Name one with via.');
    const knocked = await this.#deps.remoteMemberships().knock(userId, roomId, [...via], content);
    await this.#deps.elsewhere.adoptKnock(roomId, userId, knocked);
  }

  /**
   * Leaves a room, declines an invite or retracts a knock. @throws MatrixError 403 for somebody who is not in the room
   *
   * @throws MatrixError 403 for somebody outside
   */
  async leave(roomId: string, userId: string, reason?: string): Promise<void> {
    const { serverName, members, invitations, inTurn, local } = this.#deps;
    const content: JsonObject = { membership: 'leave', ...(reason === undefined ? {} : { reason }) };
    const invitation = await invitations.find(roomId, userId);
    if (invitation) {
      await this.#deps.elsewhere.decline(invitation, content);
      return;
    }
    const servers = await members.servers(roomId);
    const membership = await members.membership(roomId, userId);
    if (membership === undefined) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
    if (membership === 'leave') return;
    if (!servers.has(serverName) && servers.size > 0) {
      // An invite from when other users of this server were in the room.
      await this.#deps.remoteMemberships().leave(roomId, userId, [...servers], content);
      return;
    }
    await inTurn(roomId, (room) => local.send(room, userId, { type: 'm.room.member', stateKey: userId, content }));
  }

  /** Kicks, bans or unbans a user, on behalf of a local user. @throws MatrixError 403 @throws MatrixError 403 */
  async change(
    kind: 'kick' | 'ban' | 'unban',
    names: { roomId: string; sender: string; target: string },
    reason?: string,
  ): Promise<void> {
    const { roomId, sender, target } = names;
    if (!isUserId(target)) throw new MatrixError(400, 'M_INVALID_PARAM', `${target} is not a user id.`);
    await this.#deps.incomplete.whole(roomId);
    await this.#deps.inTurn(roomId, async (room) => {
      const present = await this.#deps.judge.membership(room, target);
      if (kind === 'unban' && present !== 'ban') {
        throw new MatrixError(403, 'M_FORBIDDEN', 'The person is not banned.');
      }
      if (kind === 'kick' && (present === undefined || present === 'leave' || present === 'ban')) {
        throw new MatrixError(403, 'M_FORBIDDEN', 'The person is not in the room.');
      }
      await this.#deps.local.send(room, sender, {
        type: 'm.room.member',
        stateKey: target,
        content: { membership: kind === 'ban' ? 'ban' : 'leave', ...(reason === undefined ? {} : { reason }) },
      });
    });
  }

  /**
   * Forgets a room for a user. @throws MatrixError 400 while they are in it
   *
   * @throws MatrixError 400 for somebody who is in it
   */
  async forget(roomId: string, userId: string): Promise<void> {
    const { members, invitations } = this.#deps;
    const outside = await invitations.find(roomId, userId);
    if ((outside?.membership ?? (await members.membership(roomId, userId))) === 'join') {
      throw new MatrixError(400, 'M_UNKNOWN', 'Leave the room first.');
    }
    await invitations.remove(roomId, userId);
    await members.forget(userId, roomId);
  }
}

/** Whether another server of the room may be able to authorise the join that we cannot. */
function isUnable(error: unknown): boolean {
  return (
    error instanceof MatrixError &&
    (error.errcode === 'M_UNABLE_TO_GRANT_JOIN' || error.errcode === 'M_UNABLE_TO_AUTHORISE_JOIN')
  );
}

/** Before version 12, room ids contain the server that created the room: worth a try when no other is named. */
function addDomain(via: Set<string>, roomId: string): void {
  const colon = roomId.indexOf(':');
  if (via.size === 0 && colon > 0) via.add(roomId.slice(colon + 1));
}

/** Only servers set `join_authorised_via_users_server`; what a client sends is dropped. */
export function withoutAuthoriser(content: JsonObject): JsonObject {
  const { join_authorised_via_users_server: _authoriser, ...rest } = content;
  return rest;
}
