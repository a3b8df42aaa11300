/** Filters as clients store them or give them to `/sync`. @see Matrix specification, client-server API, "Filtering" */
import { z } from 'zod';
import type { JsonObject } from '../../../federation/json.ts';
import { eventFilterSchema, matchesType } from '../client/event-filter.ts';

const names = z.array(z.string().max(255)).max(500).nullish();
const roomFilter = eventFilterSchema.extend({
  unread_thread_notifications: z.boolean().nullish(),
  'org.matrix.msc3773.unread_thread_notifications': z.boolean().nullish(),
});
export const filterSchema = z.looseObject({
  event_fields: names,
  event_format: z.enum(['client', 'federation']).nullish(),
  presence: eventFilterSchema.nullish(),
  account_data: eventFilterSchema.nullish(),
  room: z
    .looseObject({
      rooms: names,
      not_rooms: names,
      include_leave: z.boolean().nullish(),
      timeline: roomFilter.nullish(),
      state: roomFilter.nullish(),
      ephemeral: roomFilter.nullish(),
      account_data: roomFilter.nullish(),
    })
    .nullish(),
});

export type Filter = z.output<typeof filterSchema>;
export type SectionFilter = z.output<typeof roomFilter>;

/** Whether a filter excludes a room. */
export function wantsRoom(
  filter: Pick<SectionFilter, 'rooms' | 'not_rooms'> | null | undefined,
  roomId: string,
): boolean {
  if (filter?.rooms && !filter.rooms.includes(roomId)) return false;
  return filter?.not_rooms?.includes(roomId) !== true;
}

/** Whether something that is not a room event passes: account data, a receipt, presence. */
export function wants(
  filter: SectionFilter | null | undefined,
  item: { readonly type: string; readonly sender?: string; readonly roomId?: string },
): boolean {
  if (!filter) return true;
  const { types, not_types: notTypes, senders, not_senders: notSenders } = filter;
  if (types && !types.some((pattern) => matchesType(pattern, item.type))) return false;
  if (notTypes?.some((pattern) => matchesType(pattern, item.type)) === true) return false;
  if (item.sender !== undefined && senders && !senders.includes(item.sender)) return false;
  if (item.sender !== undefined && notSenders?.includes(item.sender) === true) return false;
  return item.roomId === undefined || wantsRoom(filter, item.roomId);
}

/**
 * The `event_fields` of an event.
 *
 * @param fields names such as `content.body`; a dot or backslash within a name is escaped with a backslash
 */
export function pickFields(event: JsonObject, fields: readonly string[]): JsonObject {
  const picked: JsonObject = {};
  for (const field of fields) copy(event, picked, pathOf(field));
  return picked;
}

function copy(from: JsonObject, to: JsonObject, [name, ...rest]: readonly string[]): void {
  if (name === undefined || name === '__proto__' || !Object.hasOwn(from, name)) return;
  const value = from[name];
  if (value === undefined) return;
  if (rest.length === 0) {
    to[name] = value;
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const present = Object.hasOwn(to, name) ? to[name] : undefined;
  const inner = typeof present === 'object' && present !== null && !Array.isArray(present) ? present : {};
  to[name] = inner;
  copy(value, inner, rest);
}

function pathOf(field: string): string[] {
  const path = [''];
  for (const [part] of field.matchAll(/\\[\\.]|[^.\\]+|\\|\./g)) {
    if (part === '.') path.push('');
    else path.push(`${path.pop() ?? ''}${part.length === 2 && part.startsWith('\\') ? part.slice(1) : part}`);
  }
  return path;
}
