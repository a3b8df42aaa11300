/**
 * Read access to rooms, without visibility checks: their current state, members and events. What one user may see is in
 * `RoomViews`.
 */
import { powerLevelOf, powerLevels } from '../../../federation/auth-rules.ts';
import type { PowerLevels, StateKey, StateView } from '../../../federation/auth-rules.ts';
import { redactsOf, serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { serverAllowed } from '../../../federation/server-acl.ts';
import type { Positions } from '../stream/positions.ts';
import type { Visibility } from '../visibility.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import { firstBreak } from './gaps.ts';
import type { History } from './history.ts';
import type { PartialStateRooms } from './partial-state-rooms.ts';
import type { Invitation, Invitations } from './invitations.ts';
import type { MemberOf, Members } from './members.ts';
import { currentId } from './room.ts';
import type { RoomTable } from './room.ts';
import type { StateChanges } from './state-changes.ts';
import type { StateStore } from './state-store.ts';
import { signedForm } from './stored-event.ts';

export interface RoomReaderDeps {
  readonly serverName: string;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly incomplete: PartialStateRooms;
  readonly changes: StateChanges;
  readonly history: History;
  readonly positions: Positions;
  readonly visibility: Visibility;
}

/** What a user's power is, and what things take. */
export interface Authority {
  readonly level: number;
  readonly levels: PowerLevels;
}

export class RoomReader {
  readonly #deps: RoomReaderDeps;
  /** Changes of the current state of rooms. */
  readonly changes: StateChanges;
  /** The event graph, for other servers. */
  readonly history: History;

  constructor(deps: RoomReaderDeps) {
    this.#deps = deps;
    this.changes = deps.changes;
    this.history = deps.history;
  }

  /** The current stream position: everything up to it is stored. */
  get position(): number {
    return this.#deps.positions.current;
  }

  /** The version of a room that this server is or was in. */
  async version(roomId: string): Promise<RoomVersion | undefined> {
    return (await this.#deps.rooms.find(roomId))?.version;
  }

  /** Current forward extremities. */
  async extremities(roomId: string): Promise<readonly string[]> {
    return (await this.#deps.rooms.require(roomId)).extremities;
  }

  /** The current state. @throws MatrixError 404 */
  async state(roomId: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const room = await this.#deps.rooms.require(roomId);
    return this.#load(room.state.map);
  }

  /** Event ids of the current state; empty for an unknown room. */
  async stateIds(roomId: string): Promise<ReadonlyMap<StateKey, string>> {
    return (await this.#deps.rooms.find(roomId))?.state.map ?? new Map();
  }

  /** The state after a stored event. */
  async stateAfter(event: StoredEvent): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    if (event.stateAfter === undefined) return new Map();
    return this.#load((await this.#deps.states.read(event.stateAfter)).map);
  }

  async stateEvent(roomId: string, type: string, key: string): Promise<StoredEvent | undefined> {
    const room = await this.#deps.rooms.find(roomId);
    const id = room && currentId(room, type, key);
    return id === undefined ? undefined : this.#deps.events.get(id);
  }

  /**
   * The current state events of one type.
   *
   * @param isWanted by their state key: others are not even read
   * @throws MatrixError 404
   */
  async stateOfType(
    roomId: string,
    type: string,
    isWanted: (stateKey: string) => boolean = () => true,
  ): Promise<StoredEvent[]> {
    const { map } = (await this.#deps.rooms.require(roomId)).state;
    const prefix = `${type}\0`;
    const ids: string[] = [];
    for (const [key, id] of map) if (key.startsWith(prefix) && isWanted(key.slice(prefix.length))) ids.push(id);
    return [...(await this.#deps.events.getMany(ids)).values()];
  }

  async #load(map: ReadonlyMap<StateKey, string>): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const events = await this.#deps.events.getMany(map.values());
    const state = new Map<StateKey, StoredEvent>();
    for (const [key, id] of map) {
      const event = events.get(id);
      if (event) state.set(key, event);
    }
    return state;
  }

  /** False when the state of no room changed after a stream position. */
  movedAfter(position: number): boolean {
    return this.changes.mayBeAfter(position);
  }

  /** Power level of a user in the current state; infinite for creators of a version 12 room. @throws MatrixError 404 */
  async powerLevel(roomId: string, userId: string): Promise<number> {
    return (await this.authority(roomId, userId)).level;
  }

  /** The same, and the levels that the room asks for. @throws MatrixError 404 */
  async authority(roomId: string, userId: string): Promise<Authority> {
    const room = await this.#deps.rooms.require(roomId);
    const event = await this.stateEvent(roomId, 'm.room.power_levels', '');
    const view: StateView = {
      get: (type, key) => (type === 'm.room.power_levels' && key === '' && event ? signedForm(event) : undefined),
      create: room.create,
    };
    return { level: powerLevelOf(userId, room.version, view), levels: powerLevels(view) };
  }

  /** Whether the room's server ACL allows a server. */
  async serverAllowed(roomId: string, server: string): Promise<boolean> {
    const acl = await this.stateEvent(roomId, 'm.room.server_acl', '');
    return serverAllowed(acl && signedForm(acl).content, server);
  }

  /** Whether a server ACL would allow this server. */
  wouldAllowUs(acl: JsonObject): boolean {
    return serverAllowed(acl, this.#deps.serverName);
  }

  async membership(roomId: string, userId: string): Promise<string | undefined> {
    const outside =
      serverOf(userId) === this.#deps.serverName ? await this.#deps.invitations.find(roomId, userId) : undefined;
    return outside?.membership ?? this.#deps.members.membership(roomId, userId);
  }

  /**
   * The out-of-band membership of a user: an invite to a room that this server is not in, a knock on one, or the end of
   * either.
   */
  async invitation(roomId: string, userId: string): Promise<Invitation | undefined> {
    return this.#deps.invitations.findAny(roomId, userId);
  }

  async roomsOf(userId: string, memberships: readonly string[]): Promise<MemberOf[]> {
    return this.#deps.members.roomsOf(userId, memberships);
  }

  /** The current membership of a user in a room; undefined for one that the user was never in or has forgotten. */
  async memberOf(roomId: string, userId: string): Promise<MemberOf | undefined> {
    const [row] = await this.#deps.members.roomsOf(userId, ['join', 'invite', 'leave', 'ban', 'knock'], roomId);
    return row;
  }

  /** Whether a user may look into a room without being in it. */
  async mayPeek(roomId: string, userId: string): Promise<boolean> {
    const rule = await this.stateEvent(roomId, 'm.room.history_visibility', '');
    if (rule?.pdu.content['history_visibility'] !== 'world_readable') return false;
    return this.#deps.visibility.mayPeek(userId, roomId);
  }

  /** Whether a user is joined; with partial state, any user of a server in the room may be. */
  async isInside(roomId: string, userId: string): Promise<boolean> {
    const membership = await this.membership(roomId, userId);
    if (membership !== undefined || !this.lacksMembers(roomId)) return membership === 'join';
    return (await this.joinedServers(roomId)).has(serverOf(userId));
  }

  /** Servers with a joined user, including ours. */
  async joinedServers(roomId: string): Promise<Set<string>> {
    return this.#deps.members.servers(roomId);
  }

  /** Joined users of any server. */
  async joinedUsers(roomId: string): Promise<string[]> {
    return this.#deps.members.joined(roomId);
  }

  /** The number of joined users of any server. */
  async joinedCount(roomId: string): Promise<number> {
    return this.#deps.members.joinedCount(roomId);
  }

  /** Joined users of this server. */
  async joinedLocalUsers(roomId: string): Promise<string[]> {
    return this.#deps.members.joinedOf(roomId, this.#deps.serverName);
  }

  /** The same, with the stream position of each one's membership event: whoever was joined anew has a new one. */
  async joinedLocalMembers(roomId: string): Promise<{ readonly userId: string; readonly position: number }[]> {
    return this.#deps.members.positionsOf(roomId, this.#deps.serverName);
  }

  /** Users of any server who share a room with a user, without that user. */
  async sharedUsers(userId: string): Promise<string[]> {
    return this.#deps.members.sharedWith(userId);
  }

  /** Whether a user shares a room with any user of a server. */
  async sharesRoomWith(userId: string, server: string): Promise<boolean> {
    return this.#deps.members.sharesRoomWith(userId, server);
  }

  /** Whether a server shares a room with this server. */
  async isNeighbour(server: string): Promise<boolean> {
    return this.#deps.members.shareRoom(this.#deps.serverName, server);
  }

  /** Whether the members of a room are not known yet, because it was joined just now. */
  lacksMembers(roomId: string): boolean {
    return this.#deps.incomplete.lacksMembers(roomId);
  }

  /** Waits until the members of a room are known. @throws MatrixError 503 when that takes too long */
  async whole(roomId: string): Promise<void> {
    return this.#deps.incomplete.whole(roomId);
  }

  /** The stream positions, after a given one, at which the members of some rooms became known. */
  async completedAfter(roomIds: readonly string[], position: number): Promise<Map<string, number>> {
    return this.#deps.incomplete.completedAfter(roomIds, position);
  }

  /** An event, whatever its flags. */
  async event(id: string): Promise<StoredEvent | undefined> {
    return this.#deps.events.get(id);
  }

  async events(ids: Iterable<string>): Promise<Map<string, StoredEvent>> {
    return this.#deps.events.getMany(ids);
  }

  /** The event that a redaction redacted; undefined when it had no effect. */
  async redactedBy(redaction: StoredEvent): Promise<StoredEvent | undefined> {
    const version = await this.version(redaction.roomId);
    const targetId = version && redactsOf(redaction.pdu, version);
    const target = targetId === undefined ? undefined : await this.#deps.events.get(targetId);
    return target?.redactedBy === redaction.eventId ? target : undefined;
  }

  /** Accepted events of a room between two stream positions, both exclusive, whoever may see them. */
  async range(
    roomId: string,
    range: { after?: number; before?: number; newestFirst: boolean; limit: number },
  ): Promise<StoredEvent[]> {
    return this.#deps.events.range(roomId, range);
  }

  /** The oldest event that we have in the history. */
  async oldest(roomId: string): Promise<StoredEvent | undefined> {
    return this.#deps.events.oldest(roomId);
  }

  /**
   * The first of the events (newest first, in stream order) before which history is missing or was backfilled: a client
   * that syncs has to page back for it.
   */
  async firstBreak(page: readonly StoredEvent[]): Promise<StoredEvent | undefined> {
    return firstBreak(this.#deps.events, page);
  }
}
