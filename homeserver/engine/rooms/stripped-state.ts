/** Stripped state: what somebody outside may know of a room. @see Matrix specification, "Stripped state" */
import { wireForm } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MEETING, SETTING } from '../../base/names.ts';
import type { EventStore } from './event-store.ts';
import { currentId } from './room.ts';
import type { Room } from './room.ts';

/** The event types in it; all with the empty state key. */
export const STRIPPED_STATE: readonly string[] = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
  MEETING,
  // Whoever accepts learns so whether they join now or when they are admitted.
  `${SETTING}waiting`,
];

/**
 * Whole signed events, so that the other server can check them.
 *
 * @param inviter for an invite: their membership and the power levels are included, so that it is known who may rescind it
 * @see MSC4311
 */
export async function strippedState(events: EventStore, room: Room, inviter?: string): Promise<JsonObject[]> {
  const ids = STRIPPED_STATE.map((type) => currentId(room, type, ''));
  if (inviter !== undefined) {
    ids.push(currentId(room, 'm.room.member', inviter), currentId(room, 'm.room.power_levels', ''));
  }
  const found = await events.getMany(ids.filter((id) => id !== undefined));
  return [...found.values()].map((event) => wireForm(event.pdu, room.version));
}
