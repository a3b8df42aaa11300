/**
 * Account data: what clients store for their user, globally or for a room, such as settings, tags and the list of
 * direct chats.
 *
 * @see Matrix specification, client-server API, "Client Config", "Room Tagging", "Ignoring Users"
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { DEPTH, isJsonObject, member, parseLong, parseWithAnyNumbers } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { ACCOUNT_DATA_BYTES, ACCOUNT_DATA_ENTRY_BYTES, GUEST_ACCOUNT_DATA_BYTES } from '../../base/limits.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import { Newest } from '../../engine/stream/newest.ts';
import type { Positions } from '../../engine/stream/positions.ts';

export interface AccountDataItem {
  /** '' for global account data. */
  readonly roomId: string;
  readonly type: string;
  readonly content: JsonObject;
  readonly deleted: boolean;
  readonly position: number;
}

interface Row {
  room_id: string;
  type: string;
  json: string;
  deleted: boolean;
  position: number;
}

export interface AccountDataOptions {
  readonly db: Database;
  readonly positions: Positions;
  readonly notifier: Notifier;
  /** Whether a local user is a guest, with a smaller quota. */
  readonly isGuest: (userId: string) => Promise<boolean>;
}

const CACHED_IGNORED = 10_000;
/** Written by the server only, with limits of their own. */
export const SERVER_TYPES: readonly string[] = ['m.push_rules', 'm.fully_read'];
const IGNORED_USERS = 'm.ignored_user_list';
/** Yield to the event loop after parsing this many characters. */
const CHARACTERS_AT_ONCE = 64 * 1024;

export class AccountData {
  readonly #db: Database;
  readonly #positions: Positions;
  readonly #notifier: Notifier;
  readonly #ignored = new LRUCache<string, ReadonlySet<string>>(atMost(CACHED_IGNORED));
  readonly #newest: Newest;
  readonly #isGuest: (userId: string) => Promise<boolean>;
  /** Incremented by each change: what was read before one is not cached. */
  #generation = 0;

  constructor({ db, positions, notifier, isGuest }: AccountDataOptions) {
    this.#isGuest = isGuest;
    this.#db = db;
    this.#positions = positions;
    this.#notifier = notifier;
    this.#newest = new Newest(positions.current);
  }

  async get(userId: string, roomId: string, type: string): Promise<JsonObject | undefined> {
    const [row] = await this.#db.query<Row>(
      'SELECT json FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3 AND NOT deleted',
      [userId, roomId, type],
    );
    return row && (parseWithAnyNumbers(row.json) as JsonObject);
  }

  /** Global account data of several users. */
  async ofUsers(userIds: readonly string[], type: string): Promise<Map<string, JsonObject>> {
    const rows = await this.#db.query<Row & { user_id: string }>(
      `SELECT user_id, json FROM account_data WHERE user_id = ANY($1) AND room_id = '' AND type = $2 AND NOT deleted`,
      [userIds, type],
    );
    return new Map(rows.map((row) => [row.user_id, parseWithAnyNumbers(row.json) as JsonObject]));
  }

  /**
   * Empty content deletes it. @see MSC3391 @throws MatrixError 413 when the quota would be exceeded
   *
   * @see MSC3391
   * @throws MatrixError 413 when the quota would be exceeded
   */
  async put(userId: string, roomId: string, type: string, content: JsonObject): Promise<void> {
    await this.#store(userId, roomId, type, content, Object.keys(content).length === 0);
  }

  /** Deletes account data; other clients get it with empty content. */
  async remove(userId: string, roomId: string, type: string): Promise<void> {
    if ((await this.get(userId, roomId, type)) !== undefined) await this.#store(userId, roomId, type, {}, true);
  }

  /**
   * Changes content that several clients may change concurrently.
   *
   * @throws MatrixError 413 when the quota would be exceeded
   */
  async update(
    userId: string,
    roomId: string,
    type: string,
    change: (content: JsonObject) => JsonObject,
  ): Promise<void> {
    await this.#change(userId, type, async (tx, position, most) => {
      const [row] = await this.#db.query<Row>(
        'SELECT json FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3',
        [userId, roomId, type],
        tx,
      );
      const content = change(row ? (parseWithAnyNumbers(row.json) as JsonObject) : {});
      await this.#put(tx, { userId, roomId, type, content, deleted: false, position }, most);
    });
  }

  /** All account data of a user, or what changed after a position. */
  async changed(userId: string, since: number | undefined, upTo: number): Promise<AccountDataItem[]> {
    if (since !== undefined && !this.#newest.mayBeAfter(since)) return [];
    const rows = await this.#db.query<Row>(
      `SELECT room_id, type, json, deleted, position FROM account_data
       WHERE user_id = $1 AND position > $2 AND position <= $3 AND NOT (deleted AND $4) ORDER BY position`,
      [userId, since ?? 0, upTo, since === undefined],
    );
    return readAll(rows);
  }

  /** Whether one item changed after a position. */
  async isChanged(userId: string, roomId: string, type: string, since: number, upTo: number): Promise<boolean> {
    if (!this.#newest.mayBeAfter(since)) return false;
    const rows = await this.#db.query(
      `SELECT 1 FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3 AND position > $4 AND position <= $5`,
      [userId, roomId, type, since, upTo],
    );
    return rows.length > 0;
  }

  /** All account data of some rooms. */
  async ofRooms(userId: string, roomIds: readonly string[], upTo: number): Promise<AccountDataItem[]> {
    if (roomIds.length === 0) return [];
    const rows = await this.#db.query<Row>(
      `SELECT room_id, type, json, deleted, position FROM account_data
       WHERE user_id = $1 AND room_id = ANY($2) AND position <= $3 AND NOT deleted ORDER BY position`,
      [userId, roomIds, upTo],
    );
    return readAll(rows);
  }

  /** The users that a user ignores. */
  async ignored(userId: string): Promise<ReadonlySet<string>> {
    const cached = this.#ignored.get(userId);
    if (cached) return cached;
    const generation = this.#generation;
    const ignored = ignoredIn(userId, await this.get(userId, '', IGNORED_USERS));
    if (generation === this.#generation) this.#ignored.set(userId, ignored);
    return ignored;
  }

  /** The same, if it is cached. */
  knownIgnored(userId: string): ReadonlySet<string> | undefined {
    return this.#ignored.get(userId);
  }

  /** Loads the ignored users of many users into the cache. */
  async prepareIgnored(userIds: readonly string[]): Promise<void> {
    const missing = userIds.filter((userId) => this.#ignored.peek(userId) === undefined);
    if (missing.length < 2) return;
    const generation = this.#generation;
    const stored = await this.ofUsers(missing, IGNORED_USERS);
    if (generation !== this.#generation) return;
    for (const userId of missing) this.#ignored.set(userId, ignoredIn(userId, stored.get(userId)));
  }

  async #store(userId: string, roomId: string, type: string, content: JsonObject, deleted: boolean): Promise<void> {
    await this.#change(userId, type, (tx, position, most) =>
      this.#put(tx, { userId, roomId, type, content, deleted, position }, most),
    );
    this.#generation += 1;
    if (type === IGNORED_USERS) this.#ignored.delete(userId);
  }

  /** Changes of one user run one after another, so that two concurrent ones cannot exceed the quota. */
  async #change(
    userId: string,
    type: string,
    change: (tx: Tx, position: number, most: number) => Promise<void>,
  ): Promise<void> {
    // Queried before: waiting for a second connection inside a transaction could deadlock.
    const most = SERVER_TYPES.includes(type) ? Infinity : await this.#mostOf(userId);
    await this.#positions.with((position) => {
      this.#newest.note(position);
      return this.#db.transaction(async (tx) => {
        await this.#db.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 31))', [userId], tx);
        await change(tx, position, most);
      });
    });
    this.#notifier.wakeUsers([userId]);
  }

  /** The quota of a user, in bytes. */
  async #mostOf(userId: string): Promise<number> {
    return (await this.#isGuest(userId)) ? GUEST_ACCOUNT_DATA_BYTES : ACCOUNT_DATA_BYTES;
  }

  async #put(tx: Tx, item: AccountDataItem & { readonly userId: string }, most: number): Promise<void> {
    const { userId, roomId, type, deleted, position } = item;
    const json = JSON.stringify(item.content);
    if (!SERVER_TYPES.includes(type)) await this.#requireRoom(tx, { userId, roomId, type, json }, most);
    await this.#db.query(UPSERT, [userId, roomId, type, json, deleted, position], tx);
  }

  /**
   * @throws MatrixError 413 when the quota would be exceeded; a change that reduces the usage is always accepted
   *
   * @throws MatrixError 413 when all of a user's would be too much; what makes it less is taken in any case
   */
  async #requireRoom(
    tx: Tx,
    { userId, roomId, type, json }: { userId: string; roomId: string; type: string; json: string },
    most: number,
  ): Promise<void> {
    const [kept] = await this.#db.query<{ others: number; replaced: number }>(
      `SELECT coalesce(sum(bytes) FILTER (WHERE NOT same), 0)::bigint AS others,
         coalesce(sum(bytes) FILTER (WHERE same), 0)::bigint AS replaced
       FROM (SELECT octet_length(json) + octet_length(type) + octet_length(room_id) + $5 AS bytes,
               room_id = $2 AND type = $3 AS same
             FROM account_data WHERE user_id = $1 AND type <> ALL($4)) AS entries`,
      [userId, roomId, type, SERVER_TYPES, ACCOUNT_DATA_ENTRY_BYTES],
      tx,
    );
    const bytes = Buffer.byteLength(json + type + roomId) + ACCOUNT_DATA_ENTRY_BYTES;
    if ((kept?.others ?? 0) + bytes <= most || bytes <= (kept?.replaced ?? 0)) return;
    throw new MatrixError(
      413,
      'M_TOO_LARGE',
      `All account data of a user may have at most ${String(most)} bytes in total.`,
    );
  }
}

const NOBODY: ReadonlySet<string> = new Set();

function ignoredIn(userId: string, content: JsonObject | undefined): ReadonlySet<string> {
  const users = member(content, 'ignored_users');
  if (!isJsonObject(users)) return NOBODY;
  const ignored = new Set(Object.keys(users));
  // Users cannot ignore themselves.
  ignored.delete(userId);
  return ignored;
}

const UPSERT = `INSERT INTO account_data (user_id, room_id, type, json, deleted, position)
  VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (user_id, room_id, type)
  DO UPDATE SET json = excluded.json, deleted = excluded.deleted, position = excluded.position`;

/** Parses what may be large, yielding to the event loop. */
async function readAll(rows: readonly Row[]): Promise<AccountDataItem[]> {
  const items: AccountDataItem[] = [];
  let characters = 0;
  for (const row of rows) {
    characters += row.json.length + ACCOUNT_DATA_ENTRY_BYTES;
    if (characters > CHARACTERS_AT_ONCE) {
      characters = 0;
      await nextTurn();
    }
    items.push({
      roomId: row.room_id,
      type: row.type,
      content: (row.json.length > CHARACTERS_AT_ONCE
        ? await parseLong(row.json, DEPTH.stored, true)
        : parseWithAnyNumbers(row.json)) as JsonObject,
      deleted: row.deleted,
      position: row.position,
    });
  }
  return items;
}
