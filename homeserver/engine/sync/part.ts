/**
 * The contract between `/sync` and the features in it. Each adds its own section to the response; the sync waits until
 * one has something.
 */
import type { JsonObject } from '../../../federation/json.ts';
import { isJsonObject } from '../../../federation/json.ts';
import type { Filter } from './filter.ts';

/** The parameters of a sync. The response covers positions with `since < position <= upTo`. */
export interface SyncQuestion {
  readonly userId: string;
  readonly deviceId: string;
  /** Undefined for an initial sync. */
  readonly since: number | undefined;
  readonly upTo: number;
  /** `full_state`: all state is sent, as if everything was new. */
  readonly fullState: boolean;
  /**
   * The section name for state changes up to the end of the timeline; undefined for those up to its start.
   *
   * @see MSC4222
   */
  readonly stateAfter: 'state_after' | 'org.matrix.msc4222.state_after' | undefined;
  readonly filter: Filter;
  /** Only this room, which the user may see without being joined. Used by the older event stream. */
  readonly only?: string;
  /** The user's current and former rooms, without those excluded by the filter. */
  readonly rooms: AskedRooms;
}

/** A joined room. */
export interface AskedRoom {
  readonly roomId: string;
  /** Undefined for a room that is new to the client: everything of it is sent. */
  readonly since: number | undefined;
}

export interface AskedRooms {
  /** By room id. */
  readonly joined: ReadonlyMap<string, AskedRoom>;
  /** Rooms that the user joined since the token, including those left again. Empty for an initial sync. */
  readonly entered: ReadonlySet<string>;
  /** Rooms that the user was joined to at the token, and is not any more. */
  readonly exited: ReadonlySet<string>;
  /** Memberships other than joins that have to be sent. */
  readonly others: readonly OtherRoom[];
}

/** A room in which the user is invited, knocking, left or banned. */
export interface OtherRoom {
  readonly roomId: string;
  readonly membership: string;
  /** The stream position of the membership event. */
  readonly position: number;
  /** Undefined when the room is new to the client. */
  readonly since: number | undefined;
  /** Left and forgotten since the token. */
  readonly forgotten: boolean;
}

/** The response being built. The sections of rooms exist from the start. */
export interface SyncAnswer extends JsonObject {
  rooms: { join: JsonObject; invite: JsonObject; knock: JsonObject; leave: JsonObject };
}

/**
 * `rooms` runs first, as it creates the entries of rooms; `push` last, as it counts unread messages of the rooms that
 * any other part has added. The others run concurrently.
 */
export type SyncPartName =
  'rooms' | 'account_data' | 'device_lists' | 'presence' | 'receipts' | 'sticky' | 'to_device' | 'typing' | 'push';

/**
 * `collect` adds a part's section to the response, concurrently with other parts: reading and writing a shared section
 * must not be separated by an await. Sections that are always present, such as key counts, are added last by `always`,
 * so that they do not end the waiting.
 */
export interface SyncPart {
  readonly name: SyncPartName;
  collect?(question: SyncQuestion, answer: SyncAnswer): Promise<void>;
  always?(question: SyncQuestion, answer: SyncAnswer): Promise<void>;
}

export function emptyAnswer(): SyncAnswer {
  return { rooms: { join: {}, invite: {}, knock: {}, leave: {} } };
}

/** Whether any part has added something. */
export function hasNews(answer: SyncAnswer): boolean {
  const { rooms, ...others } = answer;
  return (
    Object.values(rooms).some((section) => Object.keys(section).length > 0) ||
    Object.values(others).some((section) => section !== undefined)
  );
}

/** The entry of a joined room, created if necessary. */
export function joinedRoom(answer: SyncAnswer, roomId: string): JsonObject {
  const entry = answer.rooms.join[roomId];
  if (isJsonObject(entry)) return entry;
  const made: JsonObject = {};
  answer.rooms.join[roomId] = made;
  return made;
}

/** Adds to the `events` of a section of a joined room, such as `ephemeral`. */
export function addToJoinedRoom(answer: SyncAnswer, roomId: string, section: string, events: JsonObject[]): void {
  const room = joinedRoom(answer, roomId);
  const present = room[section];
  const before = isJsonObject(present) && Array.isArray(present['events']) ? present['events'] : [];
  room[section] = { ...(isJsonObject(present) ? present : {}), events: [...before, ...events] };
}

/** Adds to the `events` of a top-level section, such as `account_data`. */
export function addEvents(answer: SyncAnswer, section: string, events: JsonObject[]): void {
  const present = answer[section];
  const before = isJsonObject(present) && Array.isArray(present['events']) ? present['events'] : [];
  answer[section] = { events: [...before, ...events] };
}
