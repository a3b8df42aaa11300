/**
 * State of rooms at their events. A state group is the group before it and what differs; a group whose chain would
 * become too long is written out in full.
 */
import { splitStateKey, stateKey } from '../../federation/auth-rules.ts';
import type { StateKey } from '../../federation/auth-rules.ts';
import type { Database, Tx } from '../database/database.ts';
import { Lru } from './lru.ts';

/** Event ids by state key. */
export type StateMap = ReadonlyMap<StateKey, string>;

/** A state with its group. */
export interface State {
  readonly group: number;
  readonly map: StateMap;
}

const LONGEST_CHAIN = 50;
const CACHED_STATES = 2_000;

export class StateStore {
  readonly #db: Database;
  readonly #cache = new Lru<number, StateMap>(CACHED_STATES);

  constructor(db: Database) {
    this.#db = db;
  }

  async read(group: number): Promise<State> {
    const cached = this.#cache.get(group);
    if (cached) return { group, map: cached };
    const rows = await this.#db.query<{ type: string; state_key: string; event_id: string }>(
      `WITH RECURSIVE line AS (
         SELECT group_id, previous, 0 AS age FROM state_groups WHERE group_id = $1
         UNION ALL
         SELECT g.group_id, g.previous, line.age + 1 FROM state_groups g JOIN line ON g.group_id = line.previous
       )
       SELECT DISTINCT ON (e.type, e.state_key) e.type, e.state_key, e.event_id
       FROM line JOIN state_entries e ON e.group_id = line.group_id
       ORDER BY e.type, e.state_key, line.age`,
      [group],
    );
    const map = new Map(rows.map((row) => [stateKey(row.type, row.state_key), row.event_id]));
    this.#cache.set(group, map);
    return { group, map };
  }

  /**
   * Makes the group that differs from another by some entries.
   *
   * @param base undefined for a state of its own
   * @param map the whole state; entries are only ever added or replaced with respect to the base
   */
  async derive(tx: Tx, roomId: string, base: State | undefined, map: StateMap): Promise<State> {
    const removed = base !== undefined && [...base.map.keys()].some((key) => !map.has(key));
    const [parent] =
      base === undefined || removed
        ? []
        : await this.#db.query<{ chain: number }>(
            'SELECT chain FROM state_groups WHERE group_id = $1',
            [base.group],
            tx,
          );
    const onto = base !== undefined && parent !== undefined && parent.chain < LONGEST_CHAIN ? base : undefined;
    const [created] = await this.#db.query<{ group_id: number }>(
      'INSERT INTO state_groups (room_id, previous, chain) VALUES ($1, $2, $3) RETURNING group_id',
      [roomId, onto?.group ?? null, onto === undefined ? 0 : (parent?.chain ?? 0) + 1],
      tx,
    );
    if (created === undefined) throw new Error('A state group was not created.');
    const entries = [...map].filter(([key, id]) => onto?.map.get(key) !== id);
    const types: string[] = [];
    const keys: string[] = [];
    for (const [key] of entries) {
      const [type, name] = splitStateKey(key);
      types.push(type);
      keys.push(name);
    }
    await this.#db.query(
      `INSERT INTO state_entries (group_id, type, state_key, event_id)
       SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])`,
      [created.group_id, types, keys, entries.map(([, id]) => id)],
      tx,
    );
    // Cached before the commit: a group that was rolled back is never asked for, its number is not used again.
    this.#cache.set(created.group_id, map);
    return { group: created.group_id, map };
  }
}
