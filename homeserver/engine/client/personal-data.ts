/**
 * Data that clients keep for their users. Features that have a type of their own in it, such as push rules, read and
 * write it by this port.
 *
 * @see Matrix specification, client-server API, "Client Config"
 */
import type { JsonObject } from '../../../federation/json.ts';

/** `roomId` is empty for what is of no room. */
export interface PersonalData {
  get(userId: string, roomId: string, type: string): Promise<JsonObject | undefined>;
  /** Of several users, what is of no room. */
  ofUsers(userIds: readonly string[], type: string): Promise<Map<string, JsonObject>>;
  put(userId: string, roomId: string, type: string, content: JsonObject): Promise<void>;
  /** Reads and writes as one step. */
  update(userId: string, roomId: string, type: string, change: (content: JsonObject) => JsonObject): Promise<void>;
  /** Whether it was changed at a position with `since < position <= upTo`. */
  isChanged(userId: string, roomId: string, type: string, since: number, upTo: number): Promise<boolean>;
}

/** Settings of one room that also hold for the room that replaces it. */
export interface CarriedOver {
  carryOver(userId: string, from: string, to: string): Promise<void>;
}

/** Whom people do not want to hear. */
export interface IgnoredUsers {
  ignored(userId: string): Promise<ReadonlySet<string>>;
  /** The same if it is at hand; undefined when it has to be read. */
  knownIgnored(userId: string): ReadonlySet<string> | undefined;
  /** Reads it for many users at once, so that `ignored` has it at hand. */
  prepareIgnored(userIds: readonly string[]): Promise<void>;
}
