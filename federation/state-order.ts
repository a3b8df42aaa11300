import { powerLevelOf, stateViewOf } from './auth-rules.ts';
import type { AuthGraph } from './auth-graph.ts';
import type { Pdu } from './event.ts';
import { compareCodePoints } from './json.ts';
import type { RoomVersion } from './room-versions.ts';

interface Ranked {
  readonly id: string;
  readonly timestamp: number;
}

const POWER_TYPES: ReadonlySet<string> = new Set(['m.room.create', 'm.room.power_levels', 'm.room.join_rules']);

/** A power event: one that can decide who may do what. */
export function isPowerEvent(event: Pdu): boolean {
  if (POWER_TYPES.has(event.type)) return event.state_key === '';
  if (event.type !== 'm.room.member' || event.state_key === undefined || event.sender === event.state_key) return false;
  const { membership } = event.content;
  return membership === 'leave' || membership === 'ban';
}

/**
 * Sorts events so that each comes after its auth events. Among those that could come next, the one whose sender had the
 * most power comes first, then the earlier one, then the one with the smaller id.
 *
 * @param ids events that exist
 * @param create the create event, in room versions where it is not an auth event
 * @see Matrix specification, room version 2, "Reverse topological power ordering"
 */
export async function powerOrder(
  ids: ReadonlySet<string>,
  graph: AuthGraph,
  version: RoomVersion,
  create: Pdu | undefined,
): Promise<string[]> {
  const missing = new Map<string, number>();
  const citedBy = new Map<string, string[]>();
  const ranks = new Map<string, Ranked & { power: number }>();
  for (const id of ids) {
    await graph.yieldNow();
    const event = await graph.event(id);
    if (event === undefined) continue;
    const auth = await graph.authEvents(event);
    const view = stateViewOf(
      auth.map(([, authEvent]) => authEvent),
      create,
    );
    ranks.set(id, { id, timestamp: event.origin_server_ts, power: powerLevelOf(event.sender, version, view) });
    const inside = new Set(event.auth_events.filter((authId) => ids.has(authId)));
    missing.set(id, inside.size);
    for (const authId of inside) {
      const citing = citedBy.get(authId);
      if (citing === undefined) citedBy.set(authId, [id]);
      else citing.push(id);
    }
  }
  // The next one is at the end.
  const ready: (Ranked & { power: number })[] = [];
  const add = (id: string): void => {
    const rank = ranks.get(id);
    if (rank !== undefined) insert(ready, rank, (a, b) => comparePower(b, a));
  };
  for (const [id, count] of missing) {
    if (count === 0) add(id);
  }
  const sorted: string[] = [];
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    sorted.push(next.id);
    for (const citing of citedBy.get(next.id) ?? []) {
      const left = (missing.get(citing) ?? 0) - 1;
      missing.set(citing, left);
      if (left === 0) add(citing);
    }
  }
  return sorted;
}

/**
 * Sorts events by the power level event of the mainline that they depend on, oldest first; then by time, then by id.
 *
 * @param ids events that exist
 * @param powerLevels id of the resolved power level event, the start of the mainline
 * @see Matrix specification, room version 2, "Mainline ordering"
 */
export async function mainlineOrder(
  ids: Iterable<string>,
  powerLevels: string | undefined,
  graph: AuthGraph,
): Promise<string[]> {
  const positions = new Map<string, number>();
  for (let id = powerLevels; id !== undefined; id = await powerLevelsBefore(id, graph)) {
    positions.set(id, positions.size);
  }
  const ranks: (Ranked & { position: number })[] = [];
  for (const id of ids) {
    await graph.yieldNow();
    const event = await graph.event(id);
    if (event === undefined) continue;
    const passed = [id];
    let position = positions.get(id);
    for (let at = await powerLevelsBefore(id, graph); position === undefined; at = await powerLevelsBefore(at, graph)) {
      if (at === undefined) position = Infinity;
      else {
        position = positions.get(at);
        passed.push(at);
      }
    }
    // Remembered for all events on the way, so that the next walk is shorter.
    for (const before of passed) positions.set(before, position);
    ranks.push({ id, timestamp: event.origin_server_ts, position });
  }
  return ranks.sort(compareMainline).map(({ id }) => id);
}

/** The id of the power level event among the auth events. */
async function powerLevelsBefore(id: string | undefined, graph: AuthGraph): Promise<string | undefined> {
  const event = id === undefined ? undefined : await graph.event(id);
  if (event === undefined) return undefined;
  const auth = await graph.authEvents(event);
  return auth.find(([, { type, state_key }]) => type === 'm.room.power_levels' && state_key === '')?.[0];
}

function comparePower(a: Ranked & { power: number }, b: Ranked & { power: number }): number {
  if (a.power !== b.power) return b.power > a.power ? 1 : -1;
  return compareRanked(a, b);
}

function compareMainline(a: Ranked & { position: number }, b: Ranked & { position: number }): number {
  if (a.position !== b.position) return b.position > a.position ? 1 : -1;
  return compareRanked(a, b);
}

function compareRanked(a: Ranked, b: Ranked): number {
  return a.timestamp - b.timestamp || compareCodePoints(a.id, b.id);
}

/** Inserts an item into a sorted list. */
function insert<T>(list: T[], item: T, compare: (a: T, b: T) => number): void {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const there = list[middle];
    if (there !== undefined && compare(there, item) < 0) from = middle + 1;
    else to = middle;
  }
  list.splice(from, 0, item);
}
