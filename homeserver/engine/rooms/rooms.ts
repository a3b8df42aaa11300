/**
 * The room engine as the rest of the homeserver sees it: what `RoomViews` and `RoomReader` read, and what changes rooms.
 * Rules of rooms live here and in federation/; who calls is already known to be the user it names. Who only reads takes a
 * `RoomReader`.
 */
import type { Pdu } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { AdoptedJoin } from './adopt.ts';
import type { CreateRoomOptions } from './create-room.ts';
import type { StoredEvent } from './event-store.ts';
import type { Handshakes } from './handshakes.ts';
import type { NewEvent } from './local-events.ts';
import type { Memberships } from './memberships.ts';
import type { MembershipsElsewhere } from './memberships-elsewhere.ts';
import type { RemoteRooms } from './ports.ts';
import type { Urgency } from './receive.ts';
import type { EventListener, MembersListener, ServersListener } from './room-listeners.ts';
import { roomParts } from './room-parts.ts';
import type { RoomParts, RoomsOptions } from './room-parts.ts';
import { RoomViews } from './room-views.ts';
import { upgradeRoom } from './upgrade.ts';
import type { UpgradeOptions } from './upgrade.ts';

export type { CreateRoomOptions } from './create-room.ts';
export type { StoredEvent } from './event-store.ts';
export type { NewEvent } from './local-events.ts';
export type { EventListener } from './room-listeners.ts';
export type { RoomsOptions } from './room-parts.ts';
export type { Standing } from './room-views.ts';

export class Rooms extends RoomViews {
  readonly #parts: RoomParts;
  /** What people of this server do: enter, invite, knock, leave, remove. */
  readonly memberships: Memberships;
  /** Invitations and knocks of our users in rooms that this server is not in. */
  readonly elsewhere: MembershipsElsewhere;
  /** Lets users of other servers in. */
  readonly handshakes: Handshakes;

  private constructor(parts: RoomParts) {
    super(parts);
    this.#parts = parts;
    this.memberships = parts.memberships;
    this.elsewhere = parts.elsewhere;
    this.handshakes = parts.handshakes;
  }

  /** Reads where the history ends and makes the engine. */
  static async open(options: RoomsOptions): Promise<Rooms> {
    return new Rooms(await roomParts(options));
  }

  /** Goes on completing the rooms that were entered without their whole state. */
  start(): void {
    this.#parts.completion.start();
  }

  /** Ends what waits to be tried again. */
  close(): void {
    this.#parts.completion.close();
  }

  /** Gives the engine its way to other servers. */
  useRemote(remote: RemoteRooms): void {
    this.#parts.remote.use(remote);
  }

  /** @returns a function that ends the listening */
  onEvent(listener: EventListener): () => void {
    return this.#parts.listeners.onEvent(listener);
  }

  /** @returns a function that ends the listening */
  onServers(listener: ServersListener): () => void {
    return this.#parts.listeners.onServers(listener);
  }

  /** @returns a function that ends the listening */
  onMembers(listener: MembersListener): () => void {
    return this.#parts.listeners.onMembers(listener);
  }

  /** Creates a room and sends the invitations. @returns the room id @throws MatrixError */
  async create(sender: string, options: CreateRoomOptions): Promise<string> {
    return this.#parts.writer.create(sender, options);
  }

  /** Sends an event of a local user. @throws MatrixError 403 when the room's rules forbid it, 404 for no such room */
  async send(roomId: string, sender: string, event: NewEvent): Promise<StoredEvent> {
    return this.#parts.writer.send(roomId, sender, event);
  }

  /** Replaces a room by one of another version. @returns the id of the new room @throws MatrixError */
  async upgrade(userId: string, roomId: string, options: UpgradeOptions): Promise<string> {
    return upgradeRoom(this, this.#parts.writer, { userId, roomId }, options);
  }

  /** Enters a room, through another server when this one is not in it. @returns the room id */
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

  /** Leaves a room, declines an invitation or takes a knock back. */
  async leave(roomId: string, userId: string, reason?: string): Promise<void> {
    await this.memberships.leave(roomId, userId, reason);
  }

  /**
   * Takes an event of another server; format, hash and signatures are checked by the caller.
   *
   * @param urgency `now` for one that has just come: what it needs is asked for 10 s at most, and not while the last
   *   event of the server in this room waits for what was not to be had
   * @throws MatrixError for a room that we do not have
   * @throws UnknownPlaceError when what it needs is not to be had now: it is to be tried `again`
   */
  async receive(roomId: string, pdu: Pdu, origin: string, urgency: Urgency = 'now'): Promise<StoredEvent> {
    const { rooms, receiver } = this.#parts;
    return receiver.receive(await rooms.require(roomId), pdu, origin, urgency);
  }

  /** Makes a room ours that another server let us into. @throws MatrixError 403 or 502 */
  async adoptJoin(join: AdoptedJoin): Promise<void> {
    await this.#parts.entering.adopt(join);
  }
}
