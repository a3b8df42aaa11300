/** The children of a space, from its state. */
import { z } from 'zod';
import { isRoomId, isServerName } from '../../../federation/identifiers.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';

/** An `m.space.child` event in stripped form. */
export const childEventSchema = z.looseObject({
  type: z.literal('m.space.child'),
  state_key: z.string().max(255),
  content: z.custom<JsonObject>(isJsonObject, 'must be an object'),
  sender: z.string().max(255),
  origin_server_ts: z.number(),
  room_id: z.string().max(255).optional(),
});
export interface ChildEvent {
  readonly type: string;
  readonly state_key: string;
  readonly content: JsonObject;
  readonly sender: string;
  readonly origin_server_ts: number;
  readonly room_id?: string | undefined;
}

export interface Child {
  readonly roomId: string;
  /** Servers through which the room can be joined. */
  readonly via: string[];
  readonly event: JsonObject & ChildEvent;
}

const MAX_VIA = 5;
const MAX_CHILDREN = 1000;

/**
 * The children of a space in order: by `order`, then those without one, by age.
 *
 * @see Matrix specification, client-server API, "Ordering of children within a space"
 */
export function childrenOf(events: readonly ChildEvent[]): Child[] {
  const children: Child[] = [];
  for (const event of events.slice(0, MAX_CHILDREN)) {
    const via = member(event.content, 'via');
    // An event without `via` is a removed child.
    if (!Array.isArray(via) || via.length === 0 || !isRoomId(event.state_key)) continue;
    const servers = via.filter((name) => typeof name === 'string').filter((name) => isServerName(name));
    const { room_id: roomId, ...rest } = event;
    children.push({
      roomId: event.state_key,
      via: servers.slice(0, MAX_VIA),
      event: { ...rest, ...(roomId === undefined ? {} : { room_id: roomId }) },
    });
  }
  return children.sort((a, b) => compare(a.event, b.event));
}

function compare(a: ChildEvent, b: ChildEvent): number {
  const [first, second] = [orderOf(a.content), orderOf(b.content)];
  if (first !== second) {
    if (first === undefined) return 1;
    if (second === undefined) return -1;
    return first < second ? -1 : 1;
  }
  return a.origin_server_ts - b.origin_server_ts || (a.state_key < b.state_key ? -1 : 1);
}

function orderOf(content: JsonObject): string | undefined {
  const order = member(content, 'order');
  return typeof order === 'string' && /^[\x20-\x7e]{1,50}$/.test(order) ? order : undefined;
}
