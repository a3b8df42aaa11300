/**
 * Which state events a `/sync` sends besides the timeline. A client keeps the state of the token, applies `state`, then
 * the timeline; or, with `state_after`, the timeline and then that.
 */
import type { StateKey } from '../../../federation/auth-rules.ts';
import { stateKey } from '../../../federation/auth-rules.ts';
import type { StoredEvent } from '../rooms/rooms.ts';
import type { StateChange } from '../rooms/state-changes.ts';

export interface StateQuestion {
  readonly timeline: readonly StoredEvent[];
  /** Whether `state_after` was requested. */
  readonly after: boolean;
  /** The greatest depth before the timeline. */
  readonly depthBefore: number;
}

/**
 * The full state, for a client that is new to the room. A late state event is in the timeline as it is new to us, but
 * in the graph it is before events that precede the timeline: it is sent in both.
 */
export function wholeState(
  { timeline, after, depthBefore }: StateQuestion,
  /** The state before the first event of the timeline. */
  start: ReadonlyMap<StateKey, string>,
  /** The state at the end of the response. */
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

/** The changes for a client that has the state of the token. */
export function changedState(
  { timeline, after }: StateQuestion,
  /** Of one room since the token, in order. */
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
      // It is in the timeline; the previous one is only needed when the timeline begins later.
      wanted = first && moves.findLast((move) => move.position < first.position)?.eventId;
    } else if (now === known && !told.has(key)) {
      wanted = undefined;
    }
    if (wanted !== undefined && (wanted !== known || told.has(key))) state.set(key, wanted);
  }
  return state;
}

/** A state before some changes. */
export function rolledBack(
  state: ReadonlyMap<StateKey, string>,
  /** In order. */
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
