/**
 * What is known of the rooms of this server, whoever asks: their current state, their members and their events. What one
 * user may see of it is in `RoomViews`.
 */
import { powerLevelOf, powerLevels } from '../../../federation/auth-rules.ts';
import type { PowerLevels, StateKey, StateView } from '../../../federation/auth-rules.ts';
import { redactsOf, serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { serverAllowed } from '../../../federation/server-acl.ts';
import type { Positions } from '../stream/positions.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import { firstBreak } from './gaps.ts';
import type { History } from './history.ts';
import type { IncompleteRooms } from './incomplete-rooms.ts';
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
  readonly incomplete: IncompleteRooms;
  readonly changes: StateChanges;
  readonly history: History;
  readonly positions: Positions;
}

/** What a user's power is, and what things take. */
export interface Authority {
  readonly level: number;
  readonly levels: PowerLevels;
}

export class RoomReader {
  readonly #deps: RoomReaderDeps;
  /** How the current state of rooms moved. */
  readonly changes: StateChanges;
  /** The graph, for servers. */
  readonly history: History;

  constructor(deps: RoomReaderDeps) {
    this.#deps = deps;
    this.changes = deps.changes;
    this.history = deps.history;
  }

  /** Stream position up to which everything is stored. */
  get position(): number {
    return this.#deps.positions.current;
  }

  /** Version of a room that this server has or had. */
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

  /** Event ids of the current state; empty for a room that we do not have. */
  async stateIds(roomId: string): Promise<ReadonlyMap<StateKey, string>> {
    return (await this.#deps.rooms.find(roomId))?.state.map ?? new Map();
  }

  /** The state after an event that we have. */
  async stateAfter(event: StoredEvent): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    if (event.stateAfter === undefined) return new Map();
    return this.#load((await this.#deps.states.read(event.stateAfter)).map);
  }

  async stateEvent(roomId: string, type: string, key: string): Promise<StoredEvent | undefined> {
    const room = await this.#deps.rooms.find(roomId);
    const id = room && currentId(room, type, key);
    return id === undefined ? undefined : this.#deps.events.get(id);
  }

  /** The current state events of one type. @throws MatrixError 404 */
  async stateOfType(roomId: string, type: string): Promise<StoredEvent[]> {
    const { map } = (await this.#deps.rooms.require(roomId)).state;
    const ids = [...map].filter(([key]) => key.startsWith(`${type}\0`)).map(([, id]) => id);
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

  /** False when no state of any room moved after a stream position. */
  movedAfter(position: number): boolean {
    return this.changes.mayBeAfter(position);
  }

  /** Level of a user in the current state; infinite for creators of a version 12 room. @throws MatrixError 404 */
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

  /** Whether the room's access list lets a server take part. */
  async serverAllowed(roomId: string, server: string): Promise<boolean> {
    const acl = await this.stateEvent(roomId, 'm.room.server_acl', '');
    return serverAllowed(acl && signedForm(acl).content, server);
  }

  /** Whether this server may take part where a list like this holds. */
  wouldAllowUs(acl: JsonObject): boolean {
    return serverAllowed(acl, this.#deps.serverName);
  }

  async membership(roomId: string, userId: string): Promise<string | undefined> {
    const outside =
      serverOf(userId) === this.#deps.serverName ? await this.#deps.invitations.find(roomId, userId) : undefined;
    return outside?.membership ?? this.#deps.members.membership(roomId, userId);
  }

  /** An invitation to a room that this server is not in, a knock at one, or the end of either. */
  async invitation(roomId: string, userId: string): Promise<Invitation | undefined> {
    return this.#deps.invitations.findAny(roomId, userId);
  }

  async roomsOf(userId: string, memberships: readonly string[]): Promise<MemberOf[]> {
    return this.#deps.members.roomsOf(userId, memberships);
  }

  /** How a user stands to a room now; undefined for one that the user was never in or has forgotten. */
  async memberOf(roomId: string, userId: string): Promise<MemberOf | undefined> {
    const [row] = await this.#deps.members.roomsOf(userId, ['join', 'invite', 'leave', 'ban', 'knock'], roomId);
    return row;
  }

  /** Whether a user is in a room; where the members are not known yet, anybody of a server that is there may be. */
  async isInside(roomId: string, userId: string): Promise<boolean> {
    const membership = await this.membership(roomId, userId);
    if (membership !== undefined || !this.lacksMembers(roomId)) return membership === 'join';
    return (await this.joinedServers(roomId)).has(serverOf(userId));
  }

  /** Servers with somebody in the room, ours among them. */
  async joinedServers(roomId: string): Promise<Set<string>> {
    return this.#deps.members.servers(roomId);
  }

  /** Users in the room, of any server. */
  async joinedUsers(roomId: string): Promise<string[]> {
    return this.#deps.members.joined(roomId);
  }

  /** How many users of any server are in the room. */
  async joinedCount(roomId: string): Promise<number> {
    return this.#deps.members.joinedCount(roomId);
  }

  /** Users of this server in the room. */
  async joinedLocalUsers(roomId: string): Promise<string[]> {
    return this.#deps.members.joinedOf(roomId, this.#deps.serverName);
  }

  /** Users of any server who are in a room together with a user, without that user. */
  async sharedUsers(userId: string): Promise<string[]> {
    return this.#deps.members.sharedWith(userId);
  }

  /** Whether a user is in a room together with somebody of a server. */
  async sharesRoomWith(userId: string, server: string): Promise<boolean> {
    return this.#deps.members.sharesRoomWith(userId, server);
  }

  /** Whether a server is in a room together with this server. */
  async isNeighbour(server: string): Promise<boolean> {
    return this.#deps.members.shareRoom(this.#deps.serverName, server);
  }

  /** Whether the members of a room are not known yet, because it was entered just now. */
  lacksMembers(roomId: string): boolean {
    return this.#deps.incomplete.lacksMembers(roomId);
  }

  /** Waits until the members of a room are known. @throws MatrixError 503 when that takes too long */
  async whole(roomId: string): Promise<void> {
    return this.#deps.incomplete.whole(roomId);
  }

  /** At which positions after one the members of some rooms became known. */
  async completedAfter(roomIds: readonly string[], position: number): Promise<Map<string, number>> {
    return this.#deps.incomplete.completedAfter(roomIds, position);
  }

  /** An event whatever its flags. */
  async event(id: string): Promise<StoredEvent | undefined> {
    return this.#deps.events.get(id);
  }

  async events(ids: Iterable<string>): Promise<Map<string, StoredEvent>> {
    return this.#deps.events.getMany(ids);
  }

  /** The event that a redaction has redacted; undefined when it did not. */
  async redactedBy(redaction: StoredEvent): Promise<StoredEvent | undefined> {
    const version = await this.version(redaction.roomId);
    const targetId = version && redactsOf(redaction.pdu, version);
    const target = targetId === undefined ? undefined : await this.#deps.events.get(targetId);
    return target?.redactedBy === redaction.eventId ? target : undefined;
  }

  /** Accepted events of a room between two positions, both exclusive, whoever may see them. */
  async range(
    roomId: string,
    range: { after?: number; before?: number; newestFirst: boolean; limit: number },
  ): Promise<StoredEvent[]> {
    return this.#deps.events.range(roomId, range);
  }

  /** The oldest event of the history that we have. */
  async oldest(roomId: string): Promise<StoredEvent | undefined> {
    return this.#deps.events.oldest(roomId);
  }

  /**
   * The first of some events, newest first in the order of the stream, before which history is missing or was fetched
   * later: who is told of what is new has to ask for what lies before it.
   */
  async firstBreak(page: readonly StoredEvent[]): Promise<StoredEvent | undefined> {
    return firstBreak(this.#deps.events, page);
  }
}
