import { createHash } from 'node:crypto';
import { AuthError, authTypesFor, checkAuth, splitStateKey, stateKey, stateViewOf } from './auth-rules.ts';
import type { StateKey } from './auth-rules.ts';
import type { Pdu } from './event.ts';
import { compareCodePoints } from './json.ts';
import type { RoomVersion } from './room-versions.ts';

interface Candidate {
  readonly id: string;
  readonly event: Pdu;
}

/** Resolved first, because the other events depend on them. */
const AUTH_TYPES = ['m.room.power_levels', 'm.room.join_rules', 'm.room.member'];

/**
 * State resolution v1, used by room version 1: picks one event for each conflicted key.
 *
 * @param agreed the unconflicted state
 * @param disputed the candidates for each conflicted key
 * @returns an event id for each conflicted key
 * @see Matrix specification, room version 1, "State resolution"
 */
export function resolveStateV1(
  version: RoomVersion,
  agreed: ReadonlyMap<StateKey, Pdu>,
  disputed: ReadonlyMap<StateKey, readonly Candidate[]>,
): Map<StateKey, string> {
  const state = new Map(agreed);
  const resolved = new Map<StateKey, string>();
  for (const type of AUTH_TYPES) {
    const decided = [...disputed]
      .filter(([key]) => splitStateKey(key)[0] === type)
      .map(([key, candidates]) => [key, lastAllowed(version, state, candidates)] as const);
    // Events of one type do not depend on each other.
    for (const [key, chosen] of decided) {
      if (!chosen) continue;
      resolved.set(key, chosen.id);
      state.set(key, chosen.event);
    }
  }
  for (const [key, candidates] of disputed) {
    if (resolved.has(key)) continue;
    const chosen = deepestFirst(candidates).find(({ event, id }) => isAllowed(version, state, event, id));
    const [fallback] = deepestFirst(candidates).reverse();
    const taken = chosen ?? fallback;
    if (taken) resolved.set(key, taken.id);
  }
  return resolved;
}

/** The last of the events, by ascending depth, up to the first that the one before does not allow. */
function lastAllowed(
  version: RoomVersion,
  state: ReadonlyMap<StateKey, Pdu>,
  candidates: readonly Candidate[],
): Candidate | undefined {
  const own = new Map(state);
  let last: Candidate | undefined;
  for (const candidate of deepestFirst(candidates).reverse()) {
    const { event, id } = candidate;
    if (last && !isAllowed(version, own, event, id)) return last;
    own.set(stateKey(event.type, event.state_key ?? ''), event);
    last = candidate;
  }
  return last;
}

function isAllowed(version: RoomVersion, state: ReadonlyMap<StateKey, Pdu>, event: Pdu, id: string): boolean {
  const wanted = authTypesFor(event, version).map(([type, key]) => state.get(stateKey(type, key)));
  try {
    checkAuth(
      event,
      id,
      version,
      stateViewOf(
        wanted.filter((found) => found !== undefined),
        undefined,
      ),
    );
    return true;
  } catch (error) {
    if (error instanceof AuthError) return false;
    throw error;
  }
}

/** By descending depth; events of the same depth by the SHA-1 of their ids. */
function deepestFirst(candidates: readonly Candidate[]): Candidate[] {
  const ranked = candidates.map((candidate) => ({
    candidate,
    rank: createHash('sha1').update(candidate.id).digest('hex'),
  }));
  return ranked
    .sort((a, b) => b.candidate.event.depth - a.candidate.event.depth || compareCodePoints(a.rank, b.rank))
    .map(({ candidate }) => candidate);
}
