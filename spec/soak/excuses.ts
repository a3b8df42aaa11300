/**
 * Why a server may keep from its people what others show, or lack it: each cause is looked for in the events themselves,
 * and counted by its name in what the soak says of a run.
 */
import { powerLevelOf, powerLevels } from '../../federation/auth-rules.ts';
import { redactsOf, serverOf } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import { parseStrict } from '../../federation/json.ts';
import type { RoomGraph } from './graph.ts';

/** What a member of a server sees of a room. */
export interface View {
  readonly server: number;
  /** Event ids by type and state key. */
  readonly state: ReadonlyMap<string, string>;
  /** Event ids. */
  readonly history: ReadonlySet<string>;
}

export const EXCUSES = [
  /** By the rules: when it came, the current state did not allow it. */
  'soft_failed',
  /** By the rules: a redaction whose sender may not redact what it names. */
  'idle_redaction',
  /** By the rules: a redaction waits for what it redacts. */
  'early_redaction',
  /** Synapse never tells anybody such a redaction but when it is made, and cuts are. */
  'idle_redaction_withheld_by_synapse',
  /** Synapse asks another Synapse alone, which can not say. */
  'history_asked_of_synapse',
  /** Synapse does not find out that it lacks it. */
  'history_beside_other',
  /** Synapse has a redaction redacted, and does not show it then. */
  'redacted_redaction',
  /** Synapse joins loose ends of a room by such events and shows them to nobody. */
  'dummy_of_synapse',
  /** What it rests on went with a Synapse that has left the room, and gives it nobody any more. */
  'rests_on_lost',
  /** Two servers are no more in the room for each other, and were not when it happened. */
  'parted',
  /** A Synapse that parted from a server while that was cut off does not send again what it said before, nor let it ask. */
  'undelivered_by_synapse',
  /** A Synapse whose last member left while it was cut off tells nobody, and comes in again as if nothing had been. */
  'last_leave_kept_by_synapse',
  /** A Synapse threw it away when it was given it, and was not let ask for it after they had parted. */
  'dropped_by_synapse',
] as const;
export type Excuse = (typeof EXCUSES)[number];

/**
 * Why a server need not show an event; undefined when nothing excuses it.
 *
 * @param views of all servers that have somebody in the room
 * @throws IncompleteGraphError
 */
export async function excuse(
  { server, state }: View,
  eventId: string,
  graph: RoomGraph,
  views: readonly View[],
): Promise<Excuse | undefined> {
  const standing = graph.standing(server, eventId);
  if (standing === 'soft-failed' && (await graph.hadToSoftFail(server, eventId))) return 'soft_failed';
  if (!graph.isUnplaced(server, eventId)) {
    if (await isIdleRedaction(server, eventId, graph)) return 'idle_redaction';
    if (graph.kind(server) === 'ours') return undefined;
    if (graph.event(eventId)?.type === 'org.matrix.dummy_event') return 'dummy_of_synapse';
    if (isEarlyRedaction(server, eventId, graph)) return 'early_redaction';
    return isRedactedRedaction(server, eventId, graph) ? 'redacted_redaction' : undefined;
  }
  if (await isWithheldBySynapse(server, eventId, graph)) return 'idle_redaction_withheld_by_synapse';
  if (await isLastLeaveOfSynapse(eventId, graph)) return 'last_leave_kept_by_synapse';
  if (restsOnLost(server, eventId, graph, views)) return 'rests_on_lost';
  if (graph.kind(server) === 'ours') return undefined;
  if (await isAskedOfSynapse(server, state, eventId, graph, views)) return 'history_asked_of_synapse';
  return (await isBesideOther(server, eventId, graph)) ? 'history_beside_other' : undefined;
}

/**
 * Why a server need not have an event that another one shows from which it has parted.
 *
 * @param views of all servers that have somebody in the room
 * @param dropped what the server has thrown away, if it is a Synapse
 * @throws IncompleteGraphError
 */
export async function excuseOfParted(
  { server }: View,
  eventId: string,
  graph: RoomGraph,
  views: readonly View[],
  dropped: ReadonlySet<string>,
): Promise<Excuse | undefined> {
  if (await graph.isBeforeTimeOf(server, eventId)) return 'parted';
  if (dropped.has(eventId) && graph.isUnplaced(server, eventId)) return 'dropped_by_synapse';
  const home = graph.serverNamed(serverOf(graph.event(eventId)?.sender ?? ''));
  if (home === undefined || graph.kind(home) !== 'synapse' || !graph.isUnplaced(server, eventId)) return undefined;
  const there = views.find((one) => one.server === home)?.state.values() ?? [];
  return graph.isInside(server, there) ? undefined : 'undelivered_by_synapse';
}

/**
 * Whether a redaction redacts nothing on a server: its sender has neither the level for it nor is of the server of what
 * it names. Clients are not told of it then.
 *
 * @throws IncompleteGraphError
 * @see room version 3, "Handling redactions"
 */
export async function isIdleRedaction(server: number, eventId: string, graph: RoomGraph): Promise<boolean> {
  const event = graph.event(eventId);
  const redacted = graph.event(targetOf(event, graph) ?? '');
  if (!event || !redacted || serverOf(redacted.sender) === serverOf(event.sender)) return false;
  // Whether the state at the redaction counts or the current one, the specification does not say.
  const states = [await graph.stateBefore(eventId), ...(await graph.statesOnArrival(server, eventId))];
  return states.some((state) => {
    const view = graph.view(state);
    return powerLevelOf(event.sender, graph.version, view) < powerLevels(view).redact;
  });
}

/**
 * Whether a redaction came without what it redacts: clients are not told of it before that. Whether a server has to have
 * that is asked of it by itself.
 *
 * @see room version 3, "Handling redactions"
 */
function isEarlyRedaction(server: number, eventId: string, graph: RoomGraph): boolean {
  const target = targetOf(graph.event(eventId), graph);
  return target !== undefined && graph.isUnplaced(server, target);
}

/** Whether a server took a redaction before what it redacts, or has that as outlier or as history only. */
export function isBeforeItsTarget(server: number, eventId: string, graph: RoomGraph): boolean {
  const target = targetOf(graph.event(eventId), graph);
  const own = graph.arrival(server, eventId)?.position;
  if (target === undefined || own === undefined || own === null) return false;
  const of = graph.arrival(server, target);
  return of === undefined || of.standing === 'outlier' || (of.position ?? -1) < 0 || (of.position ?? -1) > own;
}

/** Whether Synapse got a redaction when that was redacted itself, so that it does not know what it redacts. */
function isRedactedRedaction(server: number, eventId: string, graph: RoomGraph): boolean {
  const stored = graph.arrival(server, eventId)?.json;
  if (stored === undefined || graph.event(eventId)?.type !== 'm.room.redaction') return false;
  return redactsOf(parseStrict(stored) as Pdu, graph.version) === undefined;
}

/**
 * Whether an event is a redaction that redacts nothing, of somebody of a Synapse: that gives it nobody who asks for it, not
 * even by its id, so that who did not get it at once only has it from one of ours.
 *
 * @throws IncompleteGraphError
 */
async function isWithheldBySynapse(server: number, eventId: string, graph: RoomGraph): Promise<boolean> {
  const event = graph.event(eventId);
  const home = event ? graph.serverNamed(serverOf(event.sender)) : undefined;
  if (home === undefined || graph.kind(home) !== 'synapse') return false;
  if (!(await isIdleRedaction(server, eventId, graph))) return false;
  const ours = graph.servers.filter((index) => index !== server && graph.kind(index) === 'ours');
  return graph.kind(server) === 'synapse' || ours.every((index) => graph.isUnplaced(index, eventId));
}

/**
 * Whether an event is the leave of the last member of a Synapse, of which nobody else has heard. What it could not deliver
 * it makes good by telling the newest event of each room, which after another member has entered by way of another server
 * is what happened there since.
 *
 * @throws IncompleteGraphError
 */
async function isLastLeaveOfSynapse(eventId: string, graph: RoomGraph): Promise<boolean> {
  const event = graph.event(eventId);
  const home = event ? graph.serverNamed(serverOf(event.sender)) : undefined;
  if (home === undefined || graph.kind(home) !== 'synapse') return false;
  if (event?.type !== 'm.room.member' || event.content['membership'] !== 'leave') return false;
  if (graph.servers.some((other) => other !== home && !graph.isUnplaced(other, eventId))) return false;
  return !graph.isInside(home, (await graph.stateAfter([eventId])).values());
}

/**
 * Whether a Synapse can not get an event because it believes the first who answers, whom it asks in the order in which
 * they came into the room, and that is another Synapse. That gives nobody a redaction that redacts nothing, nor the state
 * there, so that what comes right after it is not to be had from there either; and of history from before the time of both
 * it has no more itself. Who has parted from it does not answer.
 *
 * @param state of the room for that Synapse
 * @param views of all servers that have somebody in the room
 * @throws IncompleteGraphError
 */
async function isAskedOfSynapse(
  server: number,
  state: View['state'],
  eventId: string,
  graph: RoomGraph,
  views: readonly View[],
): Promise<boolean> {
  const refusing = views.filter((one) => !graph.isInside(server, one.state.values())).map((one) => one.server);
  const first = longestInside(server, state, graph, refusing);
  if (first === undefined || graph.kind(first) !== 'synapse') return false;
  const isHistory = await graph.isBeforeTimeOf(server, eventId);
  const seen = new Set([eventId]);
  for (const id of seen) {
    if (!graph.isUnplaced(server, id)) continue;
    if (id !== eventId && (await isIdleRedaction(server, id, graph))) return true;
    if (isHistory && graph.isUnplaced(first, id) && (await graph.isBeforeTimeOf(first, id))) return true;
    for (const previous of graph.event(id)?.prev_events ?? []) seen.add(previous);
  }
  return false;
}

/** The other server whose oldest member came first. @param refusing servers that are passed over */
function longestInside(
  server: number,
  state: View['state'],
  graph: RoomGraph,
  refusing: readonly number[],
): number | undefined {
  let first: { readonly index: number; readonly depth: number } | undefined;
  for (const id of state.values()) {
    const event = graph.event(id);
    if (event?.type !== 'm.room.member' || event.content['membership'] !== 'join') continue;
    const index = graph.serverNamed(serverOf(event.sender));
    if (index === undefined || index === server || refusing.includes(index)) continue;
    if (!first || event.depth < first.depth) first = { index, depth: event.depth };
  }
  return first?.index;
}

/**
 * Whether Synapse does not look for an event from before its time in the room. What history it lacks it finds out by depth
 * alone, so that it misses what stands beside an event that it has.
 *
 * @throws IncompleteGraphError
 */
async function isBesideOther(server: number, eventId: string, graph: RoomGraph): Promise<boolean> {
  const event = graph.event(eventId);
  if (!event || !(await graph.isBeforeTimeOf(server, eventId))) return false;
  return graph.arrivals(server).some(({ eventId: id, standing }) => {
    return standing === 'accepted' && graph.event(id)?.depth === event.depth;
  });
}

/**
 * Whether an event comes after one that nobody in the room has: of a Synapse that was cut off when it said that, has left
 * the room since, and refuses from then on to give any of it. Who then does not know the state there can not place what
 * comes after it.
 */
function restsOnLost(server: number, eventId: string, graph: RoomGraph, views: readonly View[]): boolean {
  const seen = new Set([eventId]);
  for (const id of seen) {
    const event = graph.event(id);
    if (!event || !graph.isUnplaced(server, id)) continue;
    const home = graph.serverNamed(serverOf(event.sender));
    const isGone = home !== undefined && graph.kind(home) === 'synapse' && !views.some((one) => one.server === home);
    if (id !== eventId && isGone && views.every((one) => graph.isUnplaced(one.server, id))) return true;
    for (const previous of event.prev_events) seen.add(previous);
  }
  return false;
}

/** What an event redacts, if it is a redaction. */
function targetOf(event: Pdu | undefined, graph: RoomGraph): string | undefined {
  return event?.type === 'm.room.redaction' ? redactsOf(event, graph.version) : undefined;
}
