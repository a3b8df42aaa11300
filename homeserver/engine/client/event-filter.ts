/** Which room events pass a filter. @see Matrix specification, client-server API, "RoomEventFilter" */
import { z } from 'zod';
import { stateKey } from '../../../federation/auth-rules.ts';
import { JsonParseError, member, parseStrict } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { relationOf } from '../rooms/relation-of.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';

const names = z.array(z.string().max(255)).max(500).nullish();

/** The filter of `/messages`, `/context` and `/search`. Related events are handled by `passing`. */
export const eventFilterSchema = z.looseObject({
  limit: z.number().int().min(0).nullish(),
  types: names,
  not_types: names,
  senders: names,
  not_senders: names,
  rooms: names,
  not_rooms: names,
  contains_url: z.boolean().nullish(),
  lazy_load_members: z.boolean().nullish(),
  include_redundant_members: z.boolean().nullish(),
  related_by_rel_types: names,
  related_by_senders: names,
  rel_types: names,
  not_rel_types: names,
  'org.matrix.msc3874.rel_types': names,
  'org.matrix.msc3874.not_rel_types': names,
});
export type EventFilter = z.output<typeof eventFilterSchema>;

/** Parses the filter of a query string. @throws MatrixError 400 */
export function parseEventFilter(text: string | undefined): EventFilter {
  if (text === undefined || text === '') return {};
  let value: unknown;
  try {
    value = parseStrict(text);
  } catch (error) {
    if (error instanceof JsonParseError) throw new MatrixError(400, 'M_NOT_JSON', 'The filter is not JSON.');
    throw error;
  }
  const parsed = eventFilterSchema.safeParse(value);
  if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'The filter is malformed.');
  return parsed.data;
}

/** Whether every event passes. */
export function isEmpty(filter: EventFilter): boolean {
  const { limit: _limit, lazy_load_members: _lazy, include_redundant_members: _all, ...rest } = filter;
  return Object.values(rest).every((value) => value === undefined || value === null);
}

/** Events without the messages of ignored users; their state events are kept. */
export function withoutIgnored(events: readonly StoredEvent[], ignored: ReadonlySet<string>): StoredEvent[] {
  return events.filter(({ pdu }) => pdu.state_key !== undefined || !ignored.has(pdu.sender));
}

/** Finds events by the events related to them. */
export interface Related {
  /**
   * Those of the events (of one room) that have a relation of one of these types, or by one of these senders; with both
   * given, one event must match both.
   */
  related(
    events: readonly StoredEvent[],
    by: { relTypes?: readonly string[] | null | undefined; senders?: readonly string[] | null | undefined },
  ): Promise<StoredEvent[]>;
}

/** Those of the events (of one room) that pass the filter, including its conditions on related events. */
export async function passing(
  relations: Related,
  filter: EventFilter,
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  return relations.related(
    events.filter((event) => passes(filter, event)),
    { relTypes: filter.related_by_rel_types, senders: filter.related_by_senders },
  );
}

/** Membership events of the senders of some events of one room, as of the newest of these. */
export async function membersIn(rooms: Rooms, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
  const newest = events.reduce<StoredEvent | undefined>(
    (latest, event) => (latest && latest.position >= event.position ? latest : event),
    undefined,
  );
  const state = newest && (await rooms.history.stateBefore(newest));
  if (!state) return [];
  const senders = new Set(events.map((event) => event.pdu.sender));
  const ids = [...senders].map((sender) => {
    // Somebody who joins with the newest event is not in the state before it.
    const own = newest.pdu.type === 'm.room.member' && newest.pdu.state_key === sender ? newest.eventId : undefined;
    return own ?? state.get(stateKey('m.room.member', sender));
  });
  return [...(await rooms.events(ids.filter((id) => id !== undefined))).values()];
}

/** Whether an event passes the filter, without its conditions on related events. */
export function passes(filter: EventFilter, event: StoredEvent): boolean {
  const { pdu } = event;
  const { types, not_types: notTypes, senders, not_senders: notSenders, rooms, not_rooms: notRooms } = filter;
  if (types && !types.some((pattern) => matchesType(pattern, pdu.type))) return false;
  if (notTypes?.some((pattern) => matchesType(pattern, pdu.type)) === true) return false;
  if (senders && !senders.includes(pdu.sender)) return false;
  if (notSenders?.includes(pdu.sender) === true) return false;
  if (rooms && !rooms.includes(event.roomId)) return false;
  if (notRooms?.includes(event.roomId) === true) return false;
  const hasUrl = typeof member(pdu.content, 'url') === 'string';
  if (typeof filter.contains_url === 'boolean' && filter.contains_url !== hasUrl) return false;
  const relTypes = filter.rel_types ?? filter['org.matrix.msc3874.rel_types'];
  const notRelTypes = filter.not_rel_types ?? filter['org.matrix.msc3874.not_rel_types'];
  if (!relTypes && !notRelTypes) return true;
  const relType = relationOf(pdu)?.type;
  if (relTypes && (relType === undefined || !relTypes.includes(relType))) return false;
  return relType === undefined || notRelTypes?.includes(relType) !== true;
}

/** `*` stands for any text. */
export function matchesType(pattern: string, type: string): boolean {
  if (!pattern.includes('*')) return pattern === type;
  const parts = pattern.split('*');
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  if (!type.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = type.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return type.length - last.length >= at && type.endsWith(last);
}
