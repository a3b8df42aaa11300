/**
 * Which state events a `/sync` tells beside a timeline. A client holds the state that it was told at the token, applies
 * `state`, then the timeline; or, with `state_after`, the timeline and then that.
 */
import type { StateKey } from '../../../federation/auth-rules.ts';
import { stateKey } from '../../../federation/auth-rules.ts';
import type { StoredEvent } from '../rooms/rooms.ts';
import type { StateChange } from '../rooms/state-changes.ts';

export interface StateQuestion {
  readonly timeline: readonly StoredEvent[];
  /** Whether the state after the timeline is asked for. */
  readonly after: boolean;
  /** Depth of the deepest event before the timeline. */
  readonly depthBefore: number;
}

/**
 * A whole state, for a client that knows nothing of the room. A state event that came late is in the timeline as it is new
 * to us, but in the graph it stands before what comes before the timeline: it is told in both.
 */
export function wholeState(
  { timeline, after, depthBefore }: StateQuestion,
  /** State before the first event of the timeline. */
  start: ReadonlyMap<StateKey, string>,
  /** State at the end of what is told. */
  end: ReadonlyMap<StateKey, string>,
): Map<StateKey, string> {
  if (after) return new Map(end);
  const told = lastInTimeline(timeline.filter((event) => event.pdu.depth > depthBefore));
  const state = new Map<StateKey, string>();
  for (const [key, id] of end) {
    const before = told.get(key) === id ? start.get(key) : id;
    if (before !== undefined && before !== id) state.set(key, before);
    else if (told.get(key) !== id) state.set(key, id);
  }
  return state;
}

/** What changed for a client that knows the state at the token. */
export function changedState(
  { timeline, after }: StateQuestion,
  /** Of one room since the token, in their order. */
  changes: readonly StateChange[],
): Map<StateKey, string> {
  const [first] = timeline;
  const told = lastInTimeline(timeline);
  const byKey = new Map<StateKey, StateChange[]>();
  for (const change of changes) byKey.set(change.key, [...(byKey.get(change.key) ?? []), change]);
  const state = new Map<StateKey, string>();
  for (const [key, moves] of byKey) {
    const known = moves[0]?.previous;
    const now = moves.at(-1)?.eventId;
    let wanted = now;
    if (!after && now !== undefined && told.get(key) === now) {
      // The timeline brings it; what was there before it is of interest only when the timeline begins later.
      wanted = first && moves.findLast((move) => move.position < first.position)?.eventId;
    } else if (now === known && !told.has(key)) {
      wanted = undefined;
    }
    if (wanted !== undefined && (wanted !== known || told.has(key))) state.set(key, wanted);
  }
  return state;
}

/** A state as it was before some changes. */
export function rolledBack(
  state: ReadonlyMap<StateKey, string>,
  /** In their order. */
  changes: readonly StateChange[],
): ReadonlyMap<StateKey, string> {
  if (changes.length === 0) return state;
  const map = new Map(state);
  for (const change of changes.toReversed()) {
    if (change.previous === undefined) map.delete(change.key);
    else map.set(change.key, change.previous);
  }
  return map;
}

function lastInTimeline(timeline: readonly StoredEvent[]): Map<StateKey, string> {
  const told = new Map<StateKey, string>();
  for (const { pdu, eventId } of timeline) {
    if (pdu.state_key !== undefined) told.set(stateKey(pdu.type, pdu.state_key), eventId);
  }
  return told;
}
