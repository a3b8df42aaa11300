/** The user directory: local and remote users, as far as a user may find them. */
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MEETINGS_ACCOUNT, SERVER_PREFIX } from '../../accounts/localpart.ts';
import type { Database } from '../../database/database.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import { circleParameters, inCircle } from '../../engine/visibility.ts';
import type { Circle, Visibility } from '../../engine/visibility.ts';
import { listedIn } from './public-rooms.ts';

export interface FoundUser {
  readonly user_id: string;
  readonly display_name?: string;
  readonly avatar_url?: string;
}

export interface UserDirectoryOptions {
  readonly db: Database;
  readonly rooms: RoomReader;
  readonly serverName: string;
  readonly visibility: Visibility;
  /** Display name and avatar of a local user: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
}

/** Most local users considered for one search. */
const MAX_CANDIDATES = 1000;
/** Users checked at once. */
const BATCH = 100;
/** Most memberships of these that are checked for public rooms. */
const MAX_ROOMS = 5000;
const MAX_WORDS = 10;

/** A condition that every word is contained in the text. */
const ALL_WORDS = (text: string): string =>
  `NOT EXISTS (SELECT 1 FROM unnest($1::text[]) AS word WHERE position(word IN lower(${text})) = 0)`;

export class UserDirectory {
  readonly #options: UserDirectoryOptions;

  constructor(options: UserDirectoryOptions) {
    this.#options = options;
  }

  /**
   * Users with all the words in their id or display name: those who share a room with the searcher, and those in a
   * public room. Names are those of the profiles; for remote users, those in the shared rooms. A name that somebody
   * only has in another room does not match. People of other tenants of this server are never found, even by those who
   * are in a room with them: they are seen there.
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
    const open = new Map<string, Promise<boolean>>();
    // Users find themselves as others would, as in Synapse.
    shared.delete(userId);
    const circle = await this.#options.visibility.circleOf(userId);
    const local = await this.#local(words, circle);
    for (let start = 0; start < local.length; start += BATCH) {
      const batch = local.slice(start, start + BATCH);
      const unknown = batch.filter((localId) => !shared.has(localId));
      const known = await this.#inOpenRooms(unknown, open);
      for (const localId of batch) {
        if (!shared.has(localId) && !known.has(localId)) continue;
        yield described(localId, await this.#options.profile(localId));
      }
    }
    yield* await this.#remote(userId, words, circle);
  }

  /** Local users with the words, or with the whole term as their verified mail address; those whose name starts with them first. */
  async #local(words: readonly string[], circle: Circle | undefined): Promise<string[]> {
    const { db, serverName } = this.#options;
    const rows = await db.query<{ localpart: string }>(
      `SELECT localpart FROM users
       WHERE NOT guest AND deactivated_at IS NULL AND NOT starts_with(localpart, $5)
         AND ${inCircle('tenant', 6)}
         AND (lower(email) = $3 OR ${ALL_WORDS(`coalesce(display_name, '') || ' @' || localpart || ':' || $2`)})
       ORDER BY position($3 IN lower(coalesce(display_name, ''))) <> 1, lower(coalesce(display_name, localpart)),
         localpart
       LIMIT $4`,
      [words, serverName, words.join(' '), MAX_CANDIDATES, SERVER_PREFIX, ...circleParameters(circle)],
    );
    return rows.map((row) => `@${row.localpart}:${serverName}`);
  }

  /** Remote users in rooms that the user is in or that are listed, by their names there. */
  async #remote(userId: string, words: readonly string[], circle: Circle | undefined): Promise<FoundUser[]> {
    const { db, rooms, serverName } = this.#options;
    const rows = await db.query<{ user_id: string; room_id: string }>(
      `SELECT DISTINCT ON (m.user_id) m.user_id, m.room_id FROM room_members m
       WHERE m.membership = 'join' AND m.server <> $2 AND NOT starts_with(m.user_id, $5)
         AND m.room_id IN (
           SELECT room_id FROM room_members WHERE user_id = $3 AND membership = 'join'
           UNION SELECT p.room_id FROM public_rooms p WHERE ${listedIn(6, 3)}
         )
         AND EXISTS (
           SELECT 1 FROM (
             SELECT json FROM events
             WHERE type = 'm.room.member' AND state_key = m.user_id AND room_id = m.room_id AND NOT rejected
               AND redacted_by IS NULL
             ORDER BY depth DESC LIMIT 1
           ) AS e
           WHERE ${ALL_WORDS(`m.user_id || ' ' || coalesce(substring(e.json FROM '"displayname":"([^"]*)"'), '')`)}
         )
       ORDER BY m.user_id, m.position DESC LIMIT $4`,
      [words, serverName, userId, MAX_CANDIDATES, `@${MEETINGS_ACCOUNT}:`, ...circleParameters(circle)],
    );
    const found: FoundUser[] = [];
    for (const row of rows) {
      const event = await rooms.stateEvent(row.room_id, 'm.room.member', row.user_id);
      if (event) found.push(described(row.user_id, event.pdu.content));
    }
    return found;
  }

  /**
   * Those of the users who are in a room that anybody may join or read. Being listed does not make a room public.
   *
   * @param open a cache of which rooms are public, for further calls
   */
  async #inOpenRooms(userIds: readonly string[], open: Map<string, Promise<boolean>>): Promise<Set<string>> {
    // Listed rooms first: most of them are public.
    const rows = await this.#options.db.query<{ user_id: string; room_id: string }>(
      `SELECT m.user_id, m.room_id FROM room_members m LEFT JOIN public_rooms p ON p.room_id = m.room_id
       WHERE m.user_id = ANY($1) AND m.membership = 'join' ORDER BY p.room_id IS NULL LIMIT $2`,
      [userIds, MAX_ROOMS],
    );
    const found = new Set<string>();
    for (const { user_id: userId, room_id: roomId } of rows) {
      if (found.has(userId)) continue;
      let isOpen = open.get(roomId);
      if (!isOpen) {
        isOpen = this.#isOpen(roomId);
        open.set(roomId, isOpen);
      }
      if (await isOpen) found.add(userId);
    }
    return found;
  }

  async #isOpen(roomId: string): Promise<boolean> {
    const { rooms } = this.#options;
    const rules = await rooms.stateEvent(roomId, 'm.room.join_rules', '');
    if (member(rules?.pdu.content, 'join_rule') === 'public') return true;
    const visibility = await rooms.stateEvent(roomId, 'm.room.history_visibility', '');
    return member(visibility?.pdu.content, 'history_visibility') === 'world_readable';
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
