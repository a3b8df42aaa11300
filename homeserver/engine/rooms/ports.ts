/** What the room engine needs from the rest of the homeserver. */
import type { JsonObject } from '../../../federation/json.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { Tx } from '../../database/database.ts';
import type { Write } from '../../database/writes.ts';

/** Sends to other servers. */
export interface Sender {
  /**
   * Queues events in the commit that stores them, so that a crash loses neither; undefined without destinations. They
   * are read when they are sent: what is redacted while a server is down does not reach it.
   */
  write(destinations: readonly string[], events: readonly { eventId: string }[]): Write | undefined;
  /** Starts sending what is queued. */
  flush(destinations: readonly string[]): void;
  /**
   * Queues an EDU that must not be lost, such as a to-device message, in the SQL transaction of its change.
   *
   * @param about of queued EDUs about the same subject, only the newest is kept when there are many
   */
  durableEdu(tx: Tx, destinations: readonly string[], type: string, content: JsonObject, about?: string): Promise<void>;
  /** Sends an EDU that may be lost when the other server is down. */
  edu(destinations: Iterable<string>, type: string, content: JsonObject): void;
}

/** An event that is being stored. */
export interface IndexedEvent {
  readonly eventId: string;
  readonly roomId: string;
  readonly pdu: Pdu;
}

/** Indexes events for a feature, in the commit that stores them. */
export type EventIndex = (events: readonly IndexedEvent[]) => Write[];

/** `ignore` accepts an invite and does not show it; `block` refuses it. */
export type InviteRule = 'allow' | 'ignore' | 'block';

/** From whom local users accept invites. */
export interface InvitePermissions {
  rule(userId: string, sender: string): Promise<InviteRule>;
  /** @throws MatrixError 403 when the user does not accept invites from the sender */
  check(userId: string, sender: string): Promise<void>;
}

/** What a local user is about to do in a room. */
export type RoomAct = 'write' | 'enter' | 'knock' | 'invite' | 'create';

/** What local accounts may do, whatever their power level in a room. */
export interface LocalRights {
  /** @throws MatrixError 403 */
  require(userId: string, act: RoomAct): Promise<{ readonly guest: boolean }>;
  /** Whether a local user is a guest; false for anybody else. */
  isGuest(userId: string): Promise<boolean>;
}

/** The state of a room at one event, with its auth chain. */
export interface RemoteState {
  readonly state: Pdu[];
  readonly authChain: Pdu[];
  /** How many of its events are missing: not provided, or not verifiable without a server's keys. */
  readonly missing: number;
}

/** A knock that another server accepted. */
export interface Knocked {
  readonly server: string;
  readonly event: Pdu;
  readonly version: RoomVersion;
  /** Stripped state of the room. */
  readonly state: Pdu[];
}

/** How local users join and leave rooms through other servers. Never to be used within a room's turn. */
export interface RemoteMemberships {
  join(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<void>;
  /** @returns the event with the signature of the invited user's server added */
  invite(pdu: Pdu, version: RoomVersion, target: string, roomState: readonly JsonObject[]): Promise<Pdu>;
  /** @returns the signed leave */
  leave(roomId: string, userId: string, via: readonly string[], content: JsonObject): Promise<Pdu>;
  knock(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<Knocked>;
}

/**
 * The event graph of a room on other servers. Responses are parsed, bounded, and their signatures verified. Never to be
 * used within a room's turn. `timeoutMs` limits each request, where the default is too long.
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
  /** @returns undefined when no server has it @throws MatrixError 502 when a server that may have it did not respond */
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

/** The requests to other servers of a room. */
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
