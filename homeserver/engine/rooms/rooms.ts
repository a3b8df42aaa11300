/**
 * The interface of the room engine to the rest of the homeserver: `RoomViews` and `RoomReader` to read, and methods
 * that change rooms. The rules of rooms are here and in federation/; callers have authenticated the user that they
 * name. Code that only reads takes a `RoomReader`.
 */
import type { Pdu } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { AdoptedJoin } from './adopt.ts';
import type { CreateRoomOptions } from './create-room.ts';
import type { StoredEvent } from './event-store.ts';
import type { Handshakes } from './handshakes.ts';
import type { NewEvent } from './local-events.ts';
import type { Memberships } from './memberships.ts';
import type { OutOfBandMemberships } from './out-of-band-memberships.ts';
import type { RemoteRooms } from './ports.ts';
import type { Urgency } from './receive.ts';
import type { SendRule } from './send-rules.ts';
import type { EventListener, MembersListener, ServersListener } from './room-listeners.ts';
import { roomParts } from './room-parts.ts';
import type { RoomParts, RoomsOptions } from './room-parts.ts';
import { RoomViews } from './room-views.ts';
import { upgradeRoom } from './upgrade.ts';
import type { UpgradeOptions } from './upgrade.ts';

export type { CreateRoomOptions } from './create-room.ts';
export type { StoredEvent } from './event-store.ts';
export type { SendRule } from './send-rules.ts';
export type { NewEvent } from './local-events.ts';
export type { EventListener } from './room-listeners.ts';
export type { RoomsOptions } from './room-parts.ts';
export type { Standing } from './room-views.ts';

export class Rooms extends RoomViews {
  readonly #parts: RoomParts;
  /** Joins, invites, knocks, leaves, kicks and bans by local users. */
  readonly memberships: Memberships;
  /** Out-of-band memberships: invites and knocks of local users in rooms that this server is not in. */
  readonly elsewhere: OutOfBandMemberships;
  /** Lets users of other servers join, knock and leave. */
  readonly handshakes: Handshakes;

  private constructor(parts: RoomParts) {
    super(parts);
    this.#parts = parts;
    this.memberships = parts.memberships;
    this.elsewhere = parts.elsewhere;
    this.handshakes = parts.handshakes;
  }

  /** Reads the lowest position of the history and makes the engine. */
  static async open(options: RoomsOptions): Promise<Rooms> {
    return new Rooms(await roomParts(options));
  }

  /** Resumes completing rooms with partial state. */
  start(): void {
    this.#parts.completion.start();
  }

  /** Stops the retries. */
  close(): void {
    this.#parts.completion.close();
  }

  /** Sets the engine's access to other servers. */
  useRemote(remote: RemoteRooms): void {
    this.#parts.remote.use(remote);
  }

  /** Sets what users of this server may send beyond what Matrix and their accounts say. */
  useSendRule(rule: SendRule): void {
    this.#parts.sendRules.use(rule);
  }

  /** @returns a function that removes the listener */
  onEvent(listener: EventListener): () => void {
    return this.#parts.listeners.onEvent(listener);
  }

  /** @returns a function that removes the listener */
  onServers(listener: ServersListener): () => void {
    return this.#parts.listeners.onServers(listener);
  }

  /** @returns a function that removes the listener */
  onMembers(listener: MembersListener): () => void {
    return this.#parts.listeners.onMembers(listener);
  }

  /**
   * Creates a room and sends the invites. @returns the room id @throws MatrixError
   *
   * @returns the room id
   * @throws MatrixError
   */
  async create(sender: string, options: CreateRoomOptions): Promise<string> {
    return this.#parts.writer.create(sender, options);
  }

  /**
   * Sends an event of a local user. @throws MatrixError 403 when the auth rules forbid it, 404 for an unknown room
   *
   * @throws MatrixError 403 when the room's rules forbid it, 404 for no such room
   */
  async send(roomId: string, sender: string, event: NewEvent): Promise<StoredEvent> {
    return this.#parts.writer.send(roomId, sender, event);
  }

  /**
   * Upgrades a room to another version. @returns the id of the new room @throws MatrixError
   *
   * @returns the id of the new room
   * @throws MatrixError
   */
  async upgrade(userId: string, roomId: string, options: UpgradeOptions): Promise<string> {
    return upgradeRoom(this, this.#parts.writer, { userId, roomId }, options);
  }

  /** Joins a room, through another server if this one is not in it. @returns the room id @returns the room id */
  async join(
    userId: string,
    roomId: string,
    options: { via?: readonly string[]; content?: JsonObject } = {},
  ): Promise<string> {
    await this.memberships.join(userId, roomId, options);
    return roomId;
  }

  /** Invites a user of any server. @throws MatrixError */
  async invite(roomId: string, sender: string, target: string, content: JsonObject = {}): Promise<void> {
    await this.memberships.invite(roomId, sender, target, content);
  }

  /** Leaves a room, declines an invite or retracts a knock. */
  async leave(roomId: string, userId: string, reason?: string): Promise<void> {
    await this.memberships.leave(roomId, userId, reason);
  }

  /**
   * Processes an event of another server; format, hash and signatures are verified by the caller.
   *
   * @param urgency `now` for one that has just come: what it needs is asked for 10 s at most, and not while the last
   *   event of the server in this room waits for what was not to be had
   * @throws MatrixError 404 for an unknown room
   * @throws UnknownPlaceError when what it needs cannot be fetched now: it is to be retried with `again`
   */
  async receive(roomId: string, pdu: Pdu, origin: string, urgency: Urgency = 'now'): Promise<StoredEvent> {
    const { rooms, receiver } = this.#parts;
    return receiver.receive(await rooms.require(roomId), pdu, origin, urgency);
  }

  /** Stores a room that we joined through another server. @throws MatrixError 403 or 502 */
  async adoptJoin(join: AdoptedJoin): Promise<void> {
    await this.#parts.entering.adopt(join);
  }
}
