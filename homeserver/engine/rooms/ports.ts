/** What the room engine needs of the rest of the homeserver. */
import type { JsonObject } from '../../../federation/json.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { Tx } from '../../database/database.ts';
import type { Write } from '../../database/writes.ts';

/** The way out to other servers. */
export interface Sender {
  /**
   * Queues events together with storing them, so that a crash loses neither; undefined when nobody is to get them. They are
   * read when they are sent: what is redacted while a server is down does not reach it.
   */
  write(destinations: readonly string[], events: readonly { eventId: string }[]): Write | undefined;
  /** Starts sending what was committed. */
  flush(destinations: readonly string[]): void;
  /**
   * Queues a message that must not be lost, such as one to a device, within the SQL transaction of its change.
   *
   * @param about when many messages about the same thing wait for a server, the newest is enough
   */
  durableEdu(tx: Tx, destinations: readonly string[], type: string, content: JsonObject, about?: string): Promise<void>;
  /** Sends a transient message; it may be lost when the other server is down. */
  edu(destinations: Iterable<string>, type: string, content: JsonObject): void;
}

/** An event that is being stored. */
export interface IndexedEvent {
  readonly eventId: string;
  readonly roomId: string;
  readonly pdu: Pdu;
}

/** What a feature notes of events together with storing them, so that they are found by it. */
export type EventIndex = (events: readonly IndexedEvent[]) => Write[];

/** `ignore` takes an invitation and does not show it; `block` refuses it. */
export type InviteRule = 'allow' | 'ignore' | 'block';

/** From whom people of this server want to be invited. */
export interface InvitePermissions {
  rule(userId: string, sender: string): Promise<InviteRule>;
  /** @throws MatrixError 403 when the user does not want to be invited */
  check(userId: string, sender: string): Promise<void>;
}

/** What somebody of this server is about to do in a room. */
export type RoomAct = 'write' | 'enter' | 'knock' | 'invite' | 'create';

/** What the accounts of this server may do, whatever rights they have in a room. */
export interface LocalRights {
  /** @throws MatrixError 403 */
  require(userId: string, act: RoomAct): Promise<{ readonly guest: boolean }>;
  /** Whether a local user is a guest; false for anybody else. */
  isGuest(userId: string): Promise<boolean>;
}

/** State of a room at one point and the events that authorise it. */
export interface RemoteState {
  readonly state: Pdu[];
  readonly authChain: Pdu[];
  /** How many more events belong to it that were not given, or could not be checked for want of a server's keys. */
  readonly missing: number;
}

/** A knock that another server has taken. */
export interface Knocked {
  readonly server: string;
  readonly event: Pdu;
  readonly version: RoomVersion;
  /** What somebody outside may know of the room. */
  readonly state: Pdu[];
}

/** How people of this server get into rooms and out of them through other servers. Never within a room's turn. */
export interface RemoteMemberships {
  join(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<void>;
  /** @returns the event with the signature of the invited user's server added */
  invite(pdu: Pdu, version: RoomVersion, target: string, roomState: readonly JsonObject[]): Promise<Pdu>;
  /** @returns the signed leave */
  leave(roomId: string, userId: string, via: readonly string[], content: JsonObject): Promise<Pdu>;
  knock(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<Knocked>;
}

/**
 * What other servers of a room know of its events. Answers are parsed, bounded, and their signatures are checked. Never
 * to be used within a room's turn. `timeoutMs` is for each request, where the usual time is too long.
 */
export interface RemoteGraph {
  missingEvents(query: MissingEventsQuery): Promise<Pdu[]>;
  stateAt(
    roomId: string,
    eventId: string,
    servers: readonly string[],
    version: RoomVersion,
    timeoutMs?: number,
  ): Promise<RemoteState>;
  /** @returns undefined when no server has it @throws MatrixError 502 when one that may have it did not answer */
  event(
    eventId: string,
    servers: readonly string[],
    version: RoomVersion,
    timeoutMs?: number,
  ): Promise<Pdu | undefined>;
  backfill(
    roomId: string,
    from: readonly string[],
    servers: readonly string[],
    limit: number,
    version: RoomVersion,
    timeoutMs?: number,
  ): Promise<Pdu[]>;
}

/** What other servers of a room can be asked. */
export interface RemoteRooms {
  readonly memberships: RemoteMemberships;
  readonly graph: RemoteGraph;
}

export interface MissingEventsQuery {
  readonly roomId: string;
  readonly server: string;
  readonly version: RoomVersion;
  readonly earliest: readonly string[];
  readonly latest: readonly string[];
  readonly limit: number;
  readonly timeoutMs?: number;
}
