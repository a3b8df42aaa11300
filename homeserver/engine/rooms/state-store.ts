/**
 * The states of rooms at their events. A state group is a difference from its parent group; a group whose chain would
 * become too long is stored in full.
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { splitStateKey, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import type { Database, Tx } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';

/** Event ids by state key. */
export type StateMap = ReadonlyMap<StateKey, string>;

/** A state with its group. */
export interface State {
  readonly group: number;
  readonly map: StateMap;
}

const LONGEST_CHAIN = 50;
/** Cached entries of all states, so that states of large rooms weigh more than those of small ones. */
const CACHED_ENTRIES = 100_000;
const CACHED_CHAINS = 20_000;
const GROUP_BLOCK = 200;

export class StateStore {
  readonly #db: Database;
  readonly #cache = new LRUCache<number, StateMap>({
    maxSize: CACHED_ENTRIES,
    sizeCalculation: ({ size }) => Math.min(size + 1, CACHED_ENTRIES),
  });
  /** Lengths of chains by group. */
  readonly #chains = new LRUCache<number, number>(atMost(CACHED_CHAINS));
  readonly #groups: number[] = [];
  #taking: Promise<void> | undefined;

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
   * Creates a group that differs from another by some entries.
   *
   * @param base undefined for a state stored in full
   */
  async derive(tx: Tx, roomId: string, base: State | undefined, map: StateMap): Promise<State> {
    const { state, writes } = await this.plan(roomId, base, map, undefined, tx);
    await writeTogether(this.#db, writes, tx);
    return state;
  }

  /**
   * The state of `derive`, and the writes that store it.
   *
   * @param replaced set when only these keys differ from the base
   * @param tx the open transaction, if any, so that no second connection is needed
   */
  async plan(
    roomId: string,
    base: State | undefined,
    map: StateMap,
    replaced?: readonly StateKey[],
    tx?: Tx,
  ): Promise<{ state: State; writes: Write[] }> {
    const entries = replaced ? replaced.map((key): [StateKey, string] => [key, map.get(key) ?? '']) : news(base, map);
    // Along a chain, entries are only added or replaced, never removed.
    const removed = base !== undefined && replaced === undefined && lacks(map, base.map);
    const chain = base === undefined || removed ? LONGEST_CHAIN : await this.#chain(base.group, tx);
    const onto = chain < LONGEST_CHAIN ? base : undefined;
    const group = await this.#nextGroup(tx);
    const written = onto === undefined ? [...map] : entries;
    const names = written.map(([key]) => splitStateKey(key));
    const length = onto === undefined ? 0 : chain + 1;
    const writes: Write[] = [
      {
        sql: `INSERT INTO state_groups (group_id, room_id, previous, chain) OVERRIDING SYSTEM VALUE
              VALUES ($1, $2, $3, $4)`,
        params: [group, roomId, onto?.group ?? null, length],
      },
      {
        sql: `INSERT INTO state_entries (group_id, type, state_key, event_id)
              SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])`,
        params: [group, names.map(([type]) => type), names.map(([, key]) => key), written.map(([, id]) => id)],
      },
    ];
    // Cached before the commit: a rolled-back group is never read, its number is not reused.
    this.#cache.set(group, map);
    this.#chains.set(group, length);
    return { state: { group, map }, writes };
  }

  async #chain(group: number, tx?: Tx): Promise<number> {
    const cached = this.#chains.get(group);
    if (cached !== undefined) return cached;
    const [row] = await this.#db.query<{ chain: number }>(
      'SELECT chain FROM state_groups WHERE group_id = $1',
      [group],
      tx,
    );
    return row?.chain ?? LONGEST_CHAIN;
  }

  /** Numbers are reserved in blocks, so that a group's number is known before it is written. */
  async #nextGroup(tx?: Tx): Promise<number> {
    for (;;) {
      const next = this.#groups.pop();
      if (next !== undefined) return next;
      if (tx) {
        await this.#takeGroups(tx);
        continue;
      }
      this.#taking ??= this.#takeGroups().finally(() => {
        this.#taking = undefined;
      });
      await this.#taking;
    }
  }

  async #takeGroups(tx?: Tx): Promise<void> {
    const rows = await this.#db.query<{ id: number }>(
      `SELECT nextval(pg_get_serial_sequence('state_groups', 'group_id')) AS id FROM generate_series(1, $1)`,
      [GROUP_BLOCK],
      tx,
    );
    this.#groups.push(...rows.map((row) => row.id).reverse());
  }
}

/** The entries of a state that are new or different compared with another. */
function news(base: State | undefined, map: StateMap): [StateKey, string][] {
  return [...map].filter(([key, id]) => base?.map.get(key) !== id);
}

function lacks(map: StateMap, other: StateMap): boolean {
  for (const key of other.keys()) if (!map.has(key)) return true;
  return false;
}
