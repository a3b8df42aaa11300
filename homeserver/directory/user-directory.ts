/** Finds people: those of this server and others, as far as a user may know of them. */
import { member } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { Database } from '../database/database.ts';
import type { Rooms } from '../rooms/rooms.ts';

export interface FoundUser {
  readonly user_id: string;
  readonly display_name?: string;
  readonly avatar_url?: string;
}

export interface UserDirectoryOptions {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly serverName: string;
  /** Name and picture of a local user: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
}

/** Local people looked at for one search. */
const MAX_CANDIDATES = 1000;
/** Rooms of somebody that are looked at to find an open one. */
const MAX_ROOMS = 200;
const MAX_WORDS = 10;

/** Every word is somewhere in the text. */
const ALL_WORDS = (text: string): string =>
  `NOT EXISTS (SELECT 1 FROM unnest($1::text[]) AS word WHERE position(word IN lower(${text})) = 0)`;

export class UserDirectory {
  readonly #options: UserDirectoryOptions;

  constructor(options: UserDirectoryOptions) {
    this.#options = options;
  }

  /**
   * People with all the words in their id or name: those with whom the user shares a room, and those who are in a room
   * that is open to all. Names are those of the profiles; of people of other servers, those in the rooms that the user
   * shares with them. A name that somebody has in another room only is not found by.
   *
   * @see Matrix specification, client-server API, "User Directory"
   */
  async search(userId: string, term: string, limit: number): Promise<{ results: FoundUser[]; limited: boolean }> {
    const words = term
      .replaceAll('\0', '')
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    if (words.length === 0 || words.length > MAX_WORDS) return { results: [], limited: false };
    const results: FoundUser[] = [];
    for await (const found of this.#matching(userId, words)) {
      if (results.length === limit) return { results, limited: true };
      results.push(found);
    }
    return { results, limited: false };
  }

  async *#matching(userId: string, words: readonly string[]): AsyncGenerator<FoundUser> {
    const shared = new Set(await this.#options.rooms.sharedUsers(userId));
    for (const localId of await this.#local(words)) {
      if (localId === userId || !(shared.has(localId) || (await this.#inOpenRoom(localId)))) continue;
      const profile = await this.#options.profile(localId);
      yield described(localId, profile);
    }
    yield* await this.#remote(userId, words);
  }

  /** Local users with the words, those whose name begins with them first. */
  async #local(words: readonly string[]): Promise<string[]> {
    const { db, serverName } = this.#options;
    const rows = await db.query<{ localpart: string }>(
      `SELECT localpart FROM users
       WHERE NOT guest AND deactivated_at IS NULL
         AND ${ALL_WORDS(`coalesce(display_name, '') || ' @' || localpart || ':' || $2`)}
       ORDER BY position($3 IN lower(coalesce(display_name, ''))) <> 1, lower(coalesce(display_name, localpart)),
         localpart
       LIMIT $4`,
      [words, serverName, words.join(' '), MAX_CANDIDATES],
    );
    return rows.map((row) => `@${row.localpart}:${serverName}`);
  }

  /** People of other servers in rooms that the user is in or that are listed, by the names that they have there. */
  async #remote(userId: string, words: readonly string[]): Promise<FoundUser[]> {
    const { db, rooms, serverName } = this.#options;
    const rows = await db.query<{ user_id: string; room_id: string }>(
      `SELECT DISTINCT ON (m.user_id) m.user_id, m.room_id FROM room_members m
       WHERE m.membership = 'join' AND m.server <> $2
         AND m.room_id IN (
           SELECT room_id FROM room_members WHERE user_id = $3 AND membership = 'join'
           UNION SELECT room_id FROM public_rooms
         )
         AND EXISTS (
           SELECT 1 FROM (
             SELECT json FROM events
             WHERE type = 'm.room.member' AND state_key = m.user_id AND room_id = m.room_id AND NOT rejected
             ORDER BY depth DESC LIMIT 1
           ) AS e
           WHERE ${ALL_WORDS(`m.user_id || ' ' || coalesce(substring(e.json FROM '"displayname":"([^"]*)"'), '')`)}
         )
       ORDER BY m.user_id, m.position DESC LIMIT $4`,
      [words, serverName, userId, MAX_CANDIDATES],
    );
    const found: FoundUser[] = [];
    for (const row of rows) {
      const event = await rooms.stateEvent(row.room_id, 'm.room.member', row.user_id);
      if (event) found.push(described(row.user_id, event.pdu.content));
    }
    return found;
  }

  /** Whether somebody is in a room that anybody may enter, read or find. */
  async #inOpenRoom(userId: string): Promise<boolean> {
    const { rooms, db } = this.#options;
    const joined = (await rooms.roomsOf(userId, ['join'])).slice(0, MAX_ROOMS).map((entry) => entry.roomId);
    const listed = await db.query('SELECT 1 FROM public_rooms WHERE room_id = ANY($1) LIMIT 1', [joined]);
    if (listed.length > 0) return true;
    for (const roomId of joined) {
      const rules = await rooms.stateEvent(roomId, 'm.room.join_rules', '');
      if (member(rules?.pdu.content, 'join_rule') === 'public') return true;
      const visibility = await rooms.stateEvent(roomId, 'm.room.history_visibility', '');
      if (member(visibility?.pdu.content, 'history_visibility') === 'world_readable') return true;
    }
    return false;
  }
}

function described(userId: string, profile: JsonObject): FoundUser {
  const [name, picture] = [member(profile, 'displayname'), member(profile, 'avatar_url')];
  return {
    user_id: userId,
    ...(typeof name === 'string' ? { display_name: name.slice(0, 256) } : {}),
    ...(typeof picture === 'string' ? { avatar_url: picture.slice(0, 1000) } : {}),
  };
}
