/**
 * Changes of the current state of rooms, by stream position. They say more than the events: state resolution may bring
 * back an old event, or remove one, without any new event.
 */
import { splitStateKey, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import type { Database, Tx } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import { Newest } from '../stream/newest.ts';
import type { StateMap } from './state-store.ts';

export interface StateChange {
  readonly position: number;
  readonly roomId: string;
  readonly key: StateKey;
  /** The new state event; undefined when the key was removed. */
  readonly eventId: string | undefined;
  /** The previous state event. */
  readonly previous: string | undefined;
}

interface Row {
  position: number;
  room_id: string;
  type: string;
  state_key: string;
  event_id: string | null;
  previous: string | null;
}

/** The keys in which two states differ. */
export function differences(before: StateMap, after: StateMap): StateKey[] {
  const keys = new Set<StateKey>();
  for (const [key, id] of after) if (before.get(key) !== id) keys.add(key);
  for (const key of before.keys()) if (!after.has(key)) keys.add(key);
  return [...keys];
}

export class StateChanges {
  readonly #db: Database;
  readonly #newest: Newest;

  /** @param position the current stream position */
  constructor(db: Database, position: number) {
    this.#db = db;
    this.#newest = new Newest(position);
  }

  /** False when the state of no room changed after a position. */
  mayBeAfter(position: number): boolean {
    return this.#newest.mayBeAfter(position);
  }

  /** Records that keys of a room's state changed. */
  async put(
    tx: Tx,
    roomId: string,
    position: number,
    keys: readonly StateKey[],
    before: StateMap,
    after: StateMap,
  ): Promise<void> {
    await writeTogether(this.#db, this.writes(roomId, position, keys, before, after), tx);
  }

  /** The writes of `put`. */
  writes(roomId: string, position: number, keys: readonly StateKey[], before: StateMap, after: StateMap): Write[] {
    if (keys.length === 0) return [];
    this.#newest.note(position);
    const names = keys.map((key) => splitStateKey(key));
    const sql = `INSERT INTO state_changes (position, room_id, type, state_key, event_id, previous)
       SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[])`;
    const params = [
      position,
      roomId,
      names.map(([type]) => type),
      names.map(([, name]) => name),
      keys.map((key) => after.get(key) ?? null),
      keys.map((key) => before.get(key) ?? null),
    ];
    return [{ sql, params }];
  }

  /** Changes of some rooms after a position, in order. */
  async ofRooms(roomIds: readonly string[], after: number, upTo: number): Promise<StateChange[]> {
    if (roomIds.length === 0 || !this.#newest.mayBeAfter(after)) return [];
    const rows = await this.#db.query<Row>(
      `SELECT position, room_id, type, state_key, event_id, previous FROM state_changes
       WHERE room_id = ANY($1) AND position > $2 AND position <= $3 ORDER BY position`,
      [roomIds, after, upTo],
    );
    return rows.map(read);
  }

  /** Changes of a user's memberships after a position, in order. */
  async ofMember(userId: string, after: number, upTo: number): Promise<StateChange[]> {
    if (!this.#newest.mayBeAfter(after)) return [];
    const rows = await this.#db.query<Row>(
      `SELECT position, room_id, type, state_key, event_id, previous FROM state_changes
       WHERE type = 'm.room.member' AND state_key = $1 AND position > $2 AND position <= $3 ORDER BY position`,
      [userId, after, upTo],
    );
    return rows.map(read);
  }

  /** Changes of a user's membership in one room before a position, newest first. */
  async ofMemberBefore(roomId: string, userId: string, before: number, limit: number): Promise<StateChange[]> {
    const rows = await this.#db.query<Row>(
      `SELECT position, room_id, type, state_key, event_id, previous FROM state_changes
       WHERE type = 'm.room.member' AND state_key = $2 AND room_id = $1 AND position < $3
       ORDER BY position DESC LIMIT $4`,
      [roomId, userId, before, limit],
    );
    return rows.map(read);
  }

  /** The state events that these events replaced, by their ids. */
  async replacedBy(eventIds: readonly string[]): Promise<Map<string, string>> {
    if (eventIds.length === 0) return new Map();
    const rows = await this.#db.query<{ event_id: string; previous: string }>(
      `SELECT DISTINCT ON (event_id) event_id, previous FROM state_changes
       WHERE event_id = ANY($1) AND previous IS NOT NULL ORDER BY event_id, position`,
      [eventIds],
    );
    return new Map(rows.map((row) => [row.event_id, row.previous]));
  }
}

function read(row: Row): StateChange {
  return {
    position: row.position,
    roomId: row.room_id,
    key: stateKey(row.type, row.state_key),
    eventId: row.event_id ?? undefined,
    previous: row.previous ?? undefined,
  };
}
