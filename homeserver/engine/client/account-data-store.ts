/**
 * The account data of users. Features that own a type in it, such as push rules, read and write it through this port.
 *
 * @see Matrix specification, client-server API, "Client Config"
 */
import type { JsonObject } from '../../../federation/json.ts';

/** `roomId` is empty for global account data. */
export interface AccountDataStore {
  get(userId: string, roomId: string, type: string): Promise<JsonObject | undefined>;
  /** Global account data of several users. */
  ofUsers(userIds: readonly string[], type: string): Promise<Map<string, JsonObject>>;
  put(userId: string, roomId: string, type: string, content: JsonObject): Promise<void>;
  /** Reads and writes atomically. */
  update(userId: string, roomId: string, type: string, change: (content: JsonObject) => JsonObject): Promise<void>;
  /** Whether it was changed at a position with `since < position <= upTo`. */
  isChanged(userId: string, roomId: string, type: string, since: number, upTo: number): Promise<boolean>;
}

/** Settings of a room that are copied to the room that replaces it. */
export interface CarriedOver {
  carryOver(userId: string, from: string, to: string): Promise<void>;
}

/** Whom users ignore. */
export interface IgnoredUsers {
  ignored(userId: string): Promise<ReadonlySet<string>>;
  /** The same if it is cached; undefined when it has to be read. */
  knownIgnored(userId: string): ReadonlySet<string> | undefined;
  /** Loads it into the cache for many users at once. */
  prepareIgnored(userIds: readonly string[]): Promise<void>;
}
