/**
 * The contract between `/sync` and the subjects that it tells of. Each subject adds its own section to the answer; the
 * sync waits until one has something to say.
 */
import type { JsonObject } from '../../../federation/json.ts';
import { isJsonObject } from '../../../federation/json.ts';
import type { Filter } from './filter.ts';

/** What is asked. Told is what happened at positions with `since < position <= upTo`. */
export interface SyncQuestion {
  readonly userId: string;
  readonly deviceId: string;
  /** undefined for the first sync. */
  readonly since: number | undefined;
  readonly upTo: number;
  /** All state is wanted, as if everything was new. */
  readonly fullState: boolean;
  /** Under this name changed state is wanted as it is after the timeline; undefined for that before it. @see MSC4222 */
  readonly stateAfter: 'state_after' | 'org.matrix.msc4222.state_after' | undefined;
  readonly filter: Filter;
  /** Only of this room is told, into which the user may look without being in it. The older event stream asks so. */
  readonly only?: string;
  /** The rooms that the user is or was in, without those that the filter leaves out. */
  readonly rooms: AskedRooms;
}

/** A room that the user is in. */
export interface AskedRoom {
  readonly roomId: string;
  /** undefined for a room that is new to the client: everything of it is told. */
  readonly since: number | undefined;
}

export interface AskedRooms {
  /** By room id. */
  readonly joined: ReadonlyMap<string, AskedRoom>;
  /** Rooms that the user is in, or was meanwhile, and was not in at the token. Empty for a first sync. */
  readonly entered: ReadonlySet<string>;
  /** Rooms that the user was in at the token, and is not any more. */
  readonly exited: ReadonlySet<string>;
  /** Memberships other than joins that are to be told. */
  readonly others: readonly OtherRoom[];
}

/** A room that the user is not in: invited, knocking, left or banned. */
export interface OtherRoom {
  readonly roomId: string;
  readonly membership: string;
  /** Stream position of the membership. */
  readonly position: number;
  /** undefined when the client knows nothing of the room. */
  readonly since: number | undefined;
  /** Left and forgotten since the token. */
  readonly forgotten: boolean;
}

/** The answer while it is made. The sections of rooms exist from the start. */
export interface SyncAnswer extends JsonObject {
  rooms: { join: JsonObject; invite: JsonObject; knock: JsonObject; leave: JsonObject };
}

/**
 * `rooms` comes first, as it makes the entries of the rooms; `push` last, as it counts for the rooms that any of the
 * others has told of. The rest is asked side by side.
 */
export type SyncPartName =
  'rooms' | 'account_data' | 'device_lists' | 'presence' | 'receipts' | 'sticky' | 'to_device' | 'typing' | 'push';

/**
 * Adds what it has to tell to the answer, while other parts do the same: what is read of the answer is changed and put
 * back without a pause. Sections that are always there, such as key counts, are added last by
 * `always`, so that they do not end the waiting.
 */
export interface SyncPart {
  readonly name: SyncPartName;
  collect?(question: SyncQuestion, answer: SyncAnswer): Promise<void>;
  always?(question: SyncQuestion, answer: SyncAnswer): Promise<void>;
}

export function emptyAnswer(): SyncAnswer {
  return { rooms: { join: {}, invite: {}, knock: {}, leave: {} } };
}

/** Whether a part has told anything. */
export function saysSomething(answer: SyncAnswer): boolean {
  const { rooms, ...others } = answer;
  return (
    Object.values(rooms).some((section) => Object.keys(section).length > 0) ||
    Object.values(others).some((section) => section !== undefined)
  );
}

/** The entry of a joined room, made when there is none. */
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

/** Adds to the `events` of a section of the whole answer, such as `account_data`. */
export function addEvents(answer: SyncAnswer, section: string, events: JsonObject[]): void {
  const present = answer[section];
  const before = isJsonObject(present) && Array.isArray(present['events']) ? present['events'] : [];
  answer[section] = { events: [...before, ...events] };
}
