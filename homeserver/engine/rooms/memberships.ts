/** Joining, inviting, knocking, leaving: of our users here and elsewhere, and of other servers' users here. */
import type { Logger } from 'pino';
import { splitStateKey, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import { addSignature, eventId, hashAndSign, isUserId, serverOf, wireForm } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Positions } from '../stream/positions.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { Extremities } from './extremities.ts';
import type { ForkBudget } from './fork-budget.ts';
import type { History } from './history.ts';
import type { IncompleteRooms } from './incomplete-rooms.ts';
import type { InTurn } from './in-turn.ts';
import type { Invitation, Invitations } from './invitations.ts';
import type { LocalEvents, NewEvent } from './local-events.ts';
import type { Members } from './members.ts';
import type { InvitePermissions, LocalRights, RemoteRooms } from './ports.ts';
import { namedByAccount } from './owned-state.ts';
import { authoriser } from './restricted.ts';
import { currentId } from './room.ts';
import type { Room, RoomTable } from './room.ts';
import type { RoomTurns } from './room-turns.ts';
import type { Timeline } from './timeline.ts';
import { mayEnd } from './withdrawal.ts';

export interface MembershipsDeps {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly events: EventStore;
  readonly rooms: RoomTable;
  readonly extremities: Extremities;
  readonly forks: ForkBudget;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly incomplete: IncompleteRooms;
  readonly positions: Positions;
  readonly timeline: Timeline;
  readonly local: LocalEvents;
  readonly history: History;
  readonly remote: () => RemoteRooms;
  readonly turns: RoomTurns;
  readonly inTurn: InTurn;
  /** Name and picture of a local user, as they stand in a membership. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly rights: LocalRights;
  /** From whom our users want to be invited. */
  readonly permissions: Pick<InvitePermissions, 'check'> | undefined;
  /** Tells of a membership that is no event of a room of ours. */
  readonly emitInvitation: (
    invitation: Pick<Invitation, 'roomId' | 'userId' | 'event' | 'position' | 'version'>,
  ) => void;
  readonly log: Logger;
}

/** A membership that we took from another server, and what that server has to know to be in the room. */
export interface AcceptedMembership {
  readonly event: StoredEvent;
  readonly state: StoredEvent[];
  readonly authChain: StoredEvent[];
  /** Those that were in the room before. */
  readonly servers: string[];
}

/** What somebody outside may know of a room. @see Matrix specification, "Stripped state" */
export const STRIPPED_STATE: readonly string[] = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
  'org.hansetag.meeting',
];

export class Memberships {
  readonly #deps: MembershipsDeps;

  constructor(deps: MembershipsDeps) {
    this.#deps = deps;
  }

  /** Enters a room, through another server when this one is not in it or can not let the user in. */
  async join(
    userId: string,
    roomId: string,
    options: { via?: readonly string[]; content?: JsonObject } = {},
  ): Promise<void> {
    const { serverName, members, invitations } = this.#deps;
    const { guest } = await this.#deps.rights.require(userId, 'enter');
    // What another server has decided about its room is not known here.
    if (guest && !(await this.#letsGuestsIn(roomId))) {
      throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'This room does not let guests in.');
    }
    const profile = await this.#deps.profile(userId);
    const content = namedByAccount(
      { ...withoutAuthoriser(options.content ?? {}), ...profile, membership: 'join' },
      profile,
    );
    const via = new Set(options.via);
    const servers = await members.servers(roomId);
    if (this.#deps.incomplete.lacksMembers(roomId)) {
      if ((await members.membership(roomId, userId)) === 'join') return;
      // Whether the user is banned is not known here yet.
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
    const invitation = await invitations.find(roomId, userId);
    if (invitation) via.add(serverOf(invitation.sender));
    addDomain(via, roomId);
    via.delete(serverName);
    if (via.size === 0) throw new MatrixError(404, 'M_NOT_FOUND', 'No server is known that is in this room.');
    await this.#deps.remote().join(userId, roomId, [...via], content);
    await invitations.remove(roomId, userId);
  }

  /** Whether a room lets guests take part; one that this server does not know does not. */
  async #letsGuestsIn(roomId: string): Promise<boolean> {
    const { rooms, events } = this.#deps;
    const room = await rooms.find(roomId);
    const id = room && currentId(room, 'm.room.guest_access', '');
    const event = id === undefined ? undefined : await events.get(id);
    return member(event?.pdu.content, 'guest_access') === 'can_join';
  }

  async #joinHere(userId: string, roomId: string, content: JsonObject): Promise<void> {
    await this.#deps.inTurn(roomId, async (room) => {
      if ((await this.#deps.timeline.membership(room, userId)) === 'join') return;
      const vouching = await authoriser(this.#deps, room, userId);
      await this.#deps.local.send(room, userId, {
        type: 'm.room.member',
        stateKey: userId,
        content: { ...content, ...(vouching === undefined ? {} : { join_authorised_via_users_server: vouching }) },
      });
    });
  }

  /** Invites a user; one of another server through that server, which has to sign. @throws MatrixError */
  async invite(roomId: string, sender: string, target: string, content: JsonObject = {}): Promise<void> {
    if (!isUserId(target)) throw new MatrixError(400, 'M_INVALID_PARAM', `${target} is not a user id.`);
    const { serverName, inTurn, local, timeline } = this.#deps;
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
    // The other server is asked outside the room's turn: the room must not wait for it.
    const { pdu, version, roomState } = await inTurn(roomId, async (room) => {
      const draft = local.sign(room, await local.draft(room, sender, event));
      await timeline.authorise(room, room.state.map, draft, eventId(draft, room.version));
      return { pdu: draft, version: room.version, roomState: await this.#strippedState(room, sender) };
    });
    const signed = await this.#deps.remote().invite(pdu, version, target, roomState);
    await inTurn(roomId, async (room) => {
      const stateBefore = await timeline.stateBefore(room, signed.prev_events);
      const verdict = await timeline.judge(room, signed, eventId(signed, version), stateBefore);
      if (verdict.rejected || verdict.softFailed) {
        throw new MatrixError(403, 'M_FORBIDDEN', verdict.reason ?? 'The invitation is not allowed any more.');
      }
      await timeline.add({ room, pdu: signed, stateBefore, verdict, fanOut: 'all' });
    });
  }

  /** @throws MatrixError 403 when a user of ours does not want to be invited by somebody */
  async checkWanted(target: string, sender: string): Promise<void> {
    await this.#deps.permissions?.check(target, sender);
  }

  /** Asks to be let in. @throws MatrixError 403 when the room takes no knocks */
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
    if (via.size === 0) throw new MatrixError(404, 'M_NOT_FOUND', 'No server is known that is in this room.');
    const { server, event, state, version } = await this.#deps.remote().knock(userId, roomId, [...via], content);
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

  /** Leaves a room, declines an invitation or takes a knock back. @throws MatrixError 403 for somebody outside */
  async leave(roomId: string, userId: string, reason?: string): Promise<void> {
    const { serverName, members, invitations, inTurn, local } = this.#deps;
    const content: JsonObject = { membership: 'leave', ...(reason === undefined ? {} : { reason }) };
    const invitation = await invitations.find(roomId, userId);
    if (invitation) {
      await this.#leaveElsewhere(invitation, content);
      return;
    }
    const servers = await members.servers(roomId);
    const membership = await members.membership(roomId, userId);
    if (membership === undefined) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
    if (membership === 'leave') return;
    if (!servers.has(serverName) && servers.size > 0) {
      // An invitation from the time when others of this server were in the room.
      await this.#deps.remote().leave(roomId, userId, [...servers], content);
      return;
    }
    await inTurn(roomId, (room) => local.send(room, userId, { type: 'm.room.member', stateKey: userId, content }));
  }

  async #leaveElsewhere(invitation: Invitation, content: JsonObject): Promise<void> {
    const { roomId, userId } = invitation;
    let event: Pdu | undefined;
    try {
      event = await this.#deps.remote().leave(roomId, userId, [serverOf(invitation.sender)], content);
    } catch (error) {
      // The person has said no; that the other server can not be told now must not bring the invitation back.
      this.#deps.log.info({ err: error, roomId }, 'an invitation was declined, but its server was not reached');
    }
    await this.#end(invitation, event ?? this.#ownLeave(invitation, content));
  }

  /** A leave that no server of the room knows of, for those who follow what a user does. */
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
   * Takes a leave or ban of one of our users in a room that this server is not in: an invitation that was taken back or
   * a knock that was refused. Signatures are checked by the caller.
   *
   * @param origin the server that told of it
   * @returns false when whoever did it may not
   */
  async withdraw(roomId: string, pdu: Pdu, origin: string): Promise<boolean> {
    const invitation = await this.#deps.invitations.find(roomId, pdu.state_key ?? '');
    if (!invitation || !mayEnd(invitation, pdu, origin)) return false;
    // Invitations come directly, their ends with everything else: it may be that of an older one.
    if (pdu.depth > invitation.event.depth) await this.#end(invitation, pdu);
    return true;
  }

  async #end(invitation: Invitation, event: Pdu): Promise<void> {
    const { since } = invitation;
    await this.#keep({ ...invitation, event, membership: 'leave', state: [] }, since);
  }

  /** Keeps an invitation of a local user to a room that this server is not in. */
  async adoptInvite(invitation: Omit<Invitation, 'position' | 'since' | 'membership'>): Promise<void> {
    await this.#keep({ ...invitation, membership: 'invite' });
  }

  /** The user may have entered the room while another server was asked: then its own state says how they stand to it. */
  async #keep(
    invitation: Omit<Invitation, 'position' | 'since'>,
    since = invitation.event.origin_server_ts,
  ): Promise<void> {
    const { serverName, members, turns, positions, invitations, emitInvitation } = this.#deps;
    const { roomId } = invitation;
    await turns.run(roomId, 'own', async () => {
      if ((await members.servers(roomId)).has(serverName)) return;
      await positions.with((position) => invitations.put({ ...invitation, position, since }));
      emitInvitation({ ...invitation, position: positions.current });
    });
  }

  /** Removes, bans, or lets a banned user in again, as a local user of the room. @throws MatrixError 403 */
  async change(
    kind: 'kick' | 'ban' | 'unban',
    names: { roomId: string; sender: string; target: string },
    reason?: string,
  ): Promise<void> {
    const { roomId, sender, target } = names;
    if (!isUserId(target)) throw new MatrixError(400, 'M_INVALID_PARAM', `${target} is not a user id.`);
    await this.#deps.incomplete.whole(roomId);
    await this.#deps.inTurn(roomId, async (room) => {
      const present = await this.#deps.timeline.membership(room, target);
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

  /** Takes a room out of a user's lists. @throws MatrixError 400 for somebody who is in it */
  async forget(roomId: string, userId: string): Promise<void> {
    const { members, invitations } = this.#deps;
    const outside = await invitations.find(roomId, userId);
    if ((outside?.membership ?? (await members.membership(roomId, userId))) === 'join') {
      throw new MatrixError(400, 'M_UNKNOWN', 'Leave the room first.');
    }
    await invitations.remove(roomId, userId);
    await members.forget(userId, roomId);
  }

  /** What a user of another server has to sign to join, knock or leave. @throws MatrixError */
  async template(
    roomId: string,
    userId: string,
    membership: 'join' | 'knock' | 'leave',
  ): Promise<{ event: UnsignedPdu; version: RoomVersion }> {
    const { serverName, key, members, inTurn, local, timeline } = this.#deps;
    if (!(await members.servers(roomId)).has(serverName)) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'This server is not in the room.');
    }
    this.#refuseWhileIncomplete(roomId);
    return inTurn(
      roomId,
      async (room) => {
        const vouching = membership === 'join' ? await authoriser(this.#deps, room, userId) : undefined;
        const event = await local.draft(room, userId, {
          type: 'm.room.member',
          stateKey: userId,
          content: { membership, ...(vouching === undefined ? {} : { join_authorised_via_users_server: vouching }) },
        });
        const trial = hashAndSign(event, room.version, serverName, key);
        await timeline.authorise(room, room.state.map, trial, eventId(trial, room.version));
        return { event, version: room.version };
      },
      'foreign',
    );
  }

  /**
   * Adds our signature to the join of another server's user when one of ours vouches for it.
   *
   * @throws MatrixError 400 when somebody of a third server vouches, 403 when the user may not join
   */
  async vouch(roomId: string, pdu: Pdu): Promise<Pdu> {
    const vouching = member(pdu.content, 'join_authorised_via_users_server');
    if (vouching === undefined) return pdu;
    const { serverName, key, inTurn } = this.#deps;
    if (typeof vouching !== 'string' || !isUserId(vouching) || serverOf(vouching) !== serverName) {
      throw new MatrixError(400, 'M_UNKNOWN', 'The join is authorised by a user of another server.');
    }
    return inTurn(
      roomId,
      async (room) => {
        if (!room.version.restrictedJoins) return pdu;
        await authoriser(this.#deps, room, pdu.sender);
        return addSignature(pdu, room.version, serverName, key);
      },
      'foreign',
    );
  }

  /**
   * Takes the membership that a server made of our template, and sends it on to the other servers.
   *
   * @param omitMembers whether the state is to be told without the members who are of no matter to the event
   * @returns the state before it, and the auth chain of that
   * @throws MatrixError 403 when the rules forbid it
   */
  async accept(roomId: string, pdu: Pdu, origin: string, omitMembers = false): Promise<AcceptedMembership> {
    const { events, timeline, history, forks } = this.#deps;
    if (member(pdu.content, 'membership') !== 'leave') this.#refuseWhileIncomplete(roomId);
    return this.#deps.inTurn(
      roomId,
      async (room) => {
        const id = eventId(pdu, room.version);
        const existing = await events.get(id);
        if (existing && existing.roomId !== roomId) {
          throw new MatrixError(400, 'M_BAD_JSON', 'The id of the event is taken in another room.');
        }
        let event = existing?.outlier === false ? existing : undefined;
        if (!event) {
          const known = await events.getMany(pdu.prev_events);
          if (pdu.prev_events.some((prev) => known.get(prev)?.stateAfter === undefined)) {
            throw new MatrixError(400, 'M_BAD_STATE', 'The event cites events that this server does not have.');
          }
          const stateBefore = await timeline.stateBefore(room, pdu.prev_events);
          const verdict = await timeline.judge(room, pdu, id, stateBefore);
          if (verdict.rejected || verdict.softFailed) {
            throw new MatrixError(403, 'M_FORBIDDEN', verdict.reason ?? 'The rules of the room forbid it.');
          }
          const cost = forks.cost(room, stateBefore);
          if (cost > 0 && forks.isUsedUp(roomId, origin)) {
            throw new MatrixError(
              429,
              'M_LIMIT_EXCEEDED',
              'Your server has made too many forks of the history for now.',
              { retry_after_ms: forks.waitMs(roomId, origin) },
            );
          }
          if (await this.#deps.extremities.overflow(room, id, pdu)) {
            throw new MatrixError(
              400,
              'M_BAD_STATE',
              'The event cites too old events of the room. Ask for a new template.',
            );
          }
          forks.use(roomId, origin, cost);
          event = await timeline.add({ room, pdu, stateBefore, verdict, fanOut: { except: [origin] } });
        }
        const map = (await history.stateBefore(event)) ?? new Map<StateKey, string>();
        const ids = omitMembers ? await this.#withoutMembers(roomId, map) : [...map.values()];
        const state = await events.getMany(ids);
        const chain = await history.authChain([...ids, id]);
        return {
          event,
          state: [...state.values()],
          authChain: [...chain.values()].filter((cited) => !omitMembers || !state.has(cited.eventId)),
          servers: await this.#serversBefore(room, event, map),
        };
      },
      'foreign',
    );
  }

  /** The servers in a room but for that of a user who has come in as the first of theirs. */
  async #serversBefore(
    { roomId }: Room,
    { pdu }: StoredEvent,
    before: ReadonlyMap<StateKey, string>,
  ): Promise<string[]> {
    const { events, members } = this.#deps;
    const servers = await members.servers(roomId);
    const id = before.get(stateKey('m.room.member', pdu.sender));
    const wasInside = id !== undefined && member((await events.get(id))?.pdu.content, 'membership') === 'join';
    const server = serverOf(pdu.sender);
    const others = (await members.joinedOf(roomId, server)).filter((userId) => userId !== pdu.sender);
    if (!wasInside && others.length === 0) servers.delete(server);
    return [...servers];
  }

  /** A state without its members, but for those after whom a room without a name is named. */
  async #withoutMembers(roomId: string, map: ReadonlyMap<StateKey, string>): Promise<string[]> {
    const isNamed = map.has(stateKey('m.room.name', '')) || map.has(stateKey('m.room.canonical_alias', ''));
    const heroes = new Set(isNamed ? [] : await this.#deps.members.heroes(roomId));
    return [...map]
      .filter(([key]) => {
        const [type, userId] = splitStateKey(key);
        return type !== 'm.room.member' || heroes.has(userId);
      })
      .map(([, id]) => id);
  }

  /** Who does not know who is in a room can not let others in. @throws MatrixError 404 */
  #refuseWhileIncomplete(roomId: string): void {
    if (!this.#deps.incomplete.lacksMembers(roomId)) return;
    throw new MatrixError(404, 'M_NOT_FOUND', 'This server has just entered the room and does not know all of it.');
  }

  /** What somebody who is outside may know of a room, as whole signed events. */
  async strippedState(roomId: string): Promise<JsonObject[]> {
    return this.#deps.inTurn(roomId, (room) => this.#strippedState(room));
  }

  /**
   * Whole events, so that the other server can check them.
   *
   * @param inviter for an invitation: who that is, and who may take it back, is told as well
   * @see MSC4311
   */
  async #strippedState(room: Room, inviter?: string): Promise<JsonObject[]> {
    const ids = STRIPPED_STATE.map((type) => currentId(room, type, ''));
    if (inviter !== undefined) {
      ids.push(currentId(room, 'm.room.member', inviter), currentId(room, 'm.room.power_levels', ''));
    }
    const events = await this.#deps.events.getMany(ids.filter((id) => id !== undefined));
    return [...events.values()].map((event) => wireForm(event.pdu, room.version));
  }
}

/** We can not let the user in, but another server of the room may. */
function isUnable(error: unknown): boolean {
  return (
    error instanceof MatrixError &&
    (error.errcode === 'M_UNABLE_TO_GRANT_JOIN' || error.errcode === 'M_UNABLE_TO_AUTHORISE_JOIN')
  );
}

/** Before version 12 the id of a room names the server that made it: worth a try when nobody names another. */
function addDomain(via: Set<string>, roomId: string): void {
  const colon = roomId.indexOf(':');
  if (via.size === 0 && colon > 0) via.add(roomId.slice(colon + 1));
}

/** Who vouches for a join is for servers to say. */
export function withoutAuthoriser(content: JsonObject): JsonObject {
  const { join_authorised_via_users_server: _authoriser, ...rest } = content;
  return rest;
}
