import { AuthError, authTypesFor, checkAuth, stateKey, stateViewOf } from './auth-rules.ts';
import type { StateKey } from './auth-rules.ts';
import { AuthGraph } from './auth-graph.ts';
import type { StateEvents } from './auth-graph.ts';
import type { Pdu } from './event.ts';
import type { RoomVersion } from './room-versions.ts';
import { resolveStateV1 } from './state-resolution-v1.ts';
import { isPowerEvent, mainlineOrder, powerOrder } from './state-order.ts';

export { StateResolutionError } from './auth-graph.ts';
export type { StateEvents } from './auth-graph.ts';

/** A state of a room: for each state key the id of an event. */
export type StateMap = ReadonlyMap<StateKey, string>;

/**
 * Resolves several states to one, the same on every server: v1 in room version 1, v2 in 2 to 11, v2.1 in 12.
 *
 * @param stateSets at least one; the order does not matter
 * @throws StateResolutionError when resolution needs too many events
 * @see Matrix specification, room version 2, "State resolution"; MSC4297 for version 2.1
 */
export async function resolveState(
  version: RoomVersion,
  stateSets: readonly StateMap[],
  store: StateEvents,
): Promise<Map<StateKey, string>> {
  const { unconflicted, conflicted } = partition(stateSets);
  if (conflicted.size === 0) return unconflicted;
  const graph = new AuthGraph(store);
  if (version.stateResolution === 'v1') return resolveOldest(version, stateSets, graph);
  const create = await createEvent(version, [...conflicted, ...unconflicted.values()], graph);
  const full = await fullConflictedSet(version, stateSets, unconflicted, conflicted, graph);

  const powerEvents = await withAuthEventsWithin(full, graph);
  const context = { version, graph, create };
  const resolved = new Map(version.stateResolution === 'v2.1' ? [] : unconflicted);
  await applyAllowed(await powerOrder(powerEvents, graph, version, create), resolved, context);

  const others = [...full].filter((id) => !powerEvents.has(id));
  const powerLevels = resolved.get(stateKey('m.room.power_levels', ''));
  await applyAllowed(await mainlineOrder(others, powerLevels, graph), resolved, context);

  for (const [key, id] of unconflicted) resolved.set(key, id);
  return resolved;
}

/** State resolution v1: a key that only one state has is not conflicted, and rejected events are not candidates. */
async function resolveOldest(
  version: RoomVersion,
  stateSets: readonly StateMap[],
  graph: AuthGraph,
): Promise<Map<StateKey, string>> {
  const resolved = new Map<StateKey, string>();
  const agreed = new Map<StateKey, Pdu>();
  const disputed = new Map<StateKey, { id: string; event: Pdu }[]>();
  for (const key of new Set(stateSets.flatMap((state) => [...state.keys()]))) {
    const ids = new Set(stateSets.map((state) => state.get(key)));
    const candidates = [];
    for (const id of ids) {
      const event = id === undefined ? undefined : await graph.event(id);
      if (id !== undefined && event !== undefined && !(await graph.rejected(id))) candidates.push({ id, event });
    }
    const [first, second] = candidates;
    if (first && !second) {
      resolved.set(key, first.id);
      agreed.set(key, first.event);
    } else if (second) {
      disputed.set(key, candidates);
    }
  }
  return new Map([...resolved, ...resolveStateV1(version, agreed, disputed)]);
}

interface Context {
  readonly version: RoomVersion;
  readonly graph: AuthGraph;
  /** Only in room versions where the create event is not an auth event. */
  readonly create: Pdu | undefined;
}

/** The unconflicted state and the conflicted events; a key that only some states have is conflicted. */
function partition(stateSets: readonly StateMap[]): { unconflicted: Map<StateKey, string>; conflicted: Set<string> } {
  const unconflicted = new Map<StateKey, string>();
  const conflicted = new Set<string>();
  for (const key of new Set(stateSets.flatMap((state) => [...state.keys()]))) {
    const ids = new Set(stateSets.map((state) => state.get(key)));
    const [first] = ids;
    if (ids.size === 1 && first !== undefined) unconflicted.set(key, first);
    else for (const id of ids) if (id !== undefined) conflicted.add(id);
  }
  return { unconflicted, conflicted };
}

/** Where the create event is not an auth event, the room id gives its id. */
async function createEvent(version: RoomVersion, ids: readonly string[], graph: AuthGraph): Promise<Pdu | undefined> {
  if (!version.hashRoomIds) return undefined;
  for (const id of ids) {
    const roomId = (await graph.event(id))?.room_id;
    if (roomId !== undefined) return graph.event(`$${roomId.slice(1)}`);
  }
  return undefined;
}

async function fullConflictedSet(
  version: RoomVersion,
  stateSets: readonly StateMap[],
  unconflicted: StateMap,
  conflicted: ReadonlySet<string>,
  graph: AuthGraph,
): Promise<Set<string>> {
  const own = stateSets.map((state) => new Set([...state.values()].filter((id) => conflicted.has(id))));
  const full = new Set([...conflicted, ...(await graph.difference(own, [...unconflicted.values()]))]);
  if (version.stateResolution === 'v2.1') {
    for (const id of await graph.subgraphBetween(conflicted)) full.add(id);
  }
  for (const id of full) {
    if ((await graph.event(id)) === undefined) full.delete(id);
  }
  return full;
}

/** The power events of the full conflicted set, with those of their auth chain that are in the set. */
async function withAuthEventsWithin(full: ReadonlySet<string>, graph: AuthGraph): Promise<Set<string>> {
  const found = new Set<string>();
  const open: string[] = [];
  for (const id of full) {
    const event = await graph.event(id);
    if (event !== undefined && isPowerEvent(event)) open.push(id);
  }
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id)) continue;
    await graph.yieldNow();
    found.add(id);
    for (const authId of (await graph.event(id))?.auth_events ?? []) if (full.has(authId)) open.push(authId);
  }
  return found;
}

/**
 * Iterative auth checks: adds each event to the state if the state so far allows it.
 *
 * @see Matrix specification, room version 2, "Iterative auth checks"
 */
async function applyAllowed(ids: readonly string[], state: Map<StateKey, string>, context: Context): Promise<void> {
  const { graph } = context;
  for (const id of ids) {
    await graph.yieldNow();
    const event = await graph.event(id);
    if (event?.state_key === undefined || (await graph.rejected(id))) continue;
    if (await isAllowed(event, id, state, context)) state.set(stateKey(event.type, event.state_key), id);
  }
}

async function isAllowed(event: Pdu, id: string, state: StateMap, context: Context): Promise<boolean> {
  const { version, graph, create } = context;
  const wanted = new Set(authTypesFor(event, version).map(([type, key]) => stateKey(type, key)));
  const found = new Map<StateKey, Pdu>();
  // Keys that the state does not have are taken from the event's own auth events.
  for (const [authId, auth] of await graph.authEvents(event)) {
    if (auth.state_key === undefined) continue;
    const key = stateKey(auth.type, auth.state_key);
    if (wanted.has(key) && !state.has(key) && !(await graph.rejected(authId))) found.set(key, auth);
  }
  for (const key of wanted) {
    const current = state.get(key);
    const known = current === undefined ? undefined : await graph.event(current);
    if (known !== undefined) found.set(key, known);
  }
  try {
    checkAuth(event, id, version, stateViewOf(found.values(), create));
    return true;
  } catch (error) {
    if (error instanceof AuthError) return false;
    throw error;
  }
}
