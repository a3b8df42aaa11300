import type { Pdu } from './event.ts';
import { isCreate } from './event.ts';
import { member } from './json.ts';

/** Key of a state event in a map: the type and the state key with a NUL between them. */
export type StateKey = `${string}\u0000${string}`;

/** Makes the key of a state event in a map. */
export function stateKey(type: string, key: string): StateKey {
  return `${type}\u0000${key}`;
}

/** Splits a `StateKey` into type and state key. */
export function splitStateKey(key: StateKey): [type: string, key: string] {
  const at = key.indexOf('\u0000');
  return [key.slice(0, at), key.slice(at + 1)];
}

/** The state that an event is checked against. */
export interface StateView {
  get(type: string, stateKey: string): Pdu | undefined;
  /** The create event; in version 12 it is not among the auth events, but every check needs it. */
  readonly create: Pdu | undefined;
}

/**
 * A view of a few state events.
 *
 * @param create the create event when it is not among the events
 */
export function stateViewOf(events: Iterable<Pdu>, create?: Pdu): StateView {
  const map = new Map<StateKey, Pdu>();
  let found = create;
  for (const event of events) {
    if (event.state_key === undefined) continue;
    map.set(stateKey(event.type, event.state_key), event);
    if (isCreate(event)) found = event;
  }
  return { get: (type, key) => map.get(stateKey(type, key)), create: found };
}

/** The membership of a user: `join`, `invite`, `leave`, `ban`, `knock`; `leave` for somebody who was never in the room. */
export function membershipOf(userId: string, state: StateView): string {
  const membership = member(state.get('m.room.member', userId)?.content, 'membership');
  return typeof membership === 'string' ? membership : 'leave';
}
