/**
 * The resident side of make_join/send_join, make_knock/send_knock and make_leave/send_leave for users of other servers.
 *
 * @see Matrix specification, server-server API, "Joining Rooms", "Knocking upon a room", "Leaving Rooms"
 */
import { splitStateKey, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import { addSignature, eventId, hashAndSign, isUserId, serverOf } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { MatrixError } from '../../base/errors.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { Extremities } from './extremities.ts';
import type { ForkBudget } from './fork-budget.ts';
import type { History } from './history.ts';
import type { InTurn } from './in-turn.ts';
import type { PartialStateRooms } from './partial-state-rooms.ts';
import type { Judge } from './judge.ts';
import type { LocalEvents } from './local-events.ts';
import type { Members } from './members.ts';
import { authoriser } from './restricted.ts';
import type { Room } from './room.ts';
import type { StateResolver } from './state-resolver.ts';
import { strippedState } from './stripped-state.ts';
import type { Timeline } from './timeline.ts';

export interface HandshakesDeps {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly events: EventStore;
  readonly extremities: Extremities;
  readonly forks: ForkBudget;
  readonly members: Members;
  readonly incomplete: PartialStateRooms;
  readonly judge: Judge;
  readonly resolver: StateResolver;
  readonly timeline: Timeline;
  readonly local: LocalEvents;
  readonly history: History;
  readonly inTurn: InTurn;
}

/** A membership event accepted from another server, and what that server needs to know of the room. */
export interface AcceptedMembership {
  readonly event: StoredEvent;
  readonly state: StoredEvent[];
  readonly authChain: StoredEvent[];
  /** The servers that were in the room before. */
  readonly servers: string[];
}

export class Handshakes {
  readonly #deps: HandshakesDeps;

  constructor(deps: HandshakesDeps) {
    this.#deps = deps;
  }

  /**
   * The template that a user's server has to sign for a join, knock or leave. @throws MatrixError 403, 404
   *
   * @throws MatrixError
   */
  async template(
    roomId: string,
    userId: string,
    membership: 'join' | 'knock' | 'leave',
  ): Promise<{ event: UnsignedPdu; version: RoomVersion }> {
    const { serverName, key, members, inTurn, local, judge } = this.#deps;
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
        await judge.authorise(room, room.state.map, trial, eventId(trial, room.version));
        return { event, version: room.version };
      },
      'foreign',
    );
  }

  /**
   * Signs the restricted join of a remote user that one of our users authorises.
   *
   * @throws MatrixError 400 when a user of a third server authorises it, 403 when the user may not join
   */
  async authoriseJoin(roomId: string, pdu: Pdu): Promise<Pdu> {
    const vouching = member(pdu.content, 'join_authorised_via_users_server');
    if (vouching === undefined) return pdu;
    const { serverName, key, inTurn } = this.#deps;
    if (typeof vouching !== 'string' || !isUserId(vouching) || serverOf(vouching) !== serverName) {
      throw new MatrixError(400, 'M_UNKNOWN', 'join_authorised_via_users_server names a user of another server.');
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
   * Stores the membership event that a server made from our template, and sends it to the other servers.
   *
   * @param omitMembers whether to leave out members that the event does not need (`omit_members`)
   * @returns the state before it, and the auth chain of that
   * @throws MatrixError 403 when the auth rules forbid it
   */
  async accept(roomId: string, pdu: Pdu, origin: string, omitMembers = false): Promise<AcceptedMembership> {
    const { events, timeline, judge, resolver, history, forks, extremities, inTurn } = this.#deps;
    if (member(pdu.content, 'membership') !== 'leave') this.#refuseWhileIncomplete(roomId);
    return inTurn(
      roomId,
      async (room) => {
        const id = eventId(pdu, room.version);
        const existing = await events.get(id);
        if (existing && existing.roomId !== roomId) {
          throw new MatrixError(400, 'M_BAD_JSON', 'An event with this id exists in another room.');
        }
        let event = existing?.outlier === false ? existing : undefined;
        if (!event) {
          const known = await events.getMany(pdu.prev_events);
          if (pdu.prev_events.some((prev) => known.get(prev)?.stateAfter === undefined)) {
            throw new MatrixError(400, 'M_BAD_STATE', 'The event references events that this server does not have.');
          }
          const stateBefore = await resolver.stateBefore(room, pdu.prev_events);
          const verdict = await judge.judge(room, pdu, id, stateBefore);
          if (verdict.rejected || verdict.softFailed) {
            throw new MatrixError(403, 'M_FORBIDDEN', verdict.reason ?? 'The auth rules of the room forbid it.');
          }
          const cost = forks.cost(room, stateBefore);
          if (cost > 0 && forks.isUsedUp(roomId, origin)) {
            throw new MatrixError(
              429,
              'M_LIMIT_EXCEEDED',
              'Your server has forked the history of this room too often. Try again later.',
              { retry_after_ms: forks.waitMs(roomId, origin) },
            );
          }
          if (await extremities.overflow(room, id, pdu)) {
            throw new MatrixError(400, 'M_BAD_STATE', 'The prev_events are outdated. Request a new template.');
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

  /** The servers in a room, without that of a user who has just joined as its first. */
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

  /** A state without members, except for the heroes of a room without a name. */
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

  /** With partial state, we cannot authorise others. @throws MatrixError 404 @throws MatrixError 404 */
  #refuseWhileIncomplete(roomId: string): void {
    if (!this.#deps.incomplete.lacksMembers(roomId)) return;
    throw new MatrixError(
      404,
      'M_NOT_FOUND',
      'This server has just joined the room and does not have its full state yet.',
    );
  }

  /** Stripped state for somebody whose knock was accepted, as whole signed events. */
  async strippedState(roomId: string): Promise<JsonObject[]> {
    return this.#deps.inTurn(roomId, (room) => strippedState(this.#deps.events, room));
  }
}
