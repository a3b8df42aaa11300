/** Notes which event refers to which other one, together with storing it. */
import { z } from 'zod';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { Write } from '../../database/writes.ts';

const relationSchema = z.looseObject({
  event_id: z.string().min(1).max(255),
  rel_type: z.string().min(1).max(255),
});

/** What an event refers to; undefined for most. State refers to nothing. */
export function relationOf(pdu: Pdu): { parentId: string; type: string } | undefined {
  if (pdu.state_key !== undefined) return undefined;
  const parsed = relationSchema.safeParse(member(pdu.content, 'm.relates_to'));
  // PostgreSQL keeps no NUL in text; no id and no type has one.
  if (!parsed.success || /\0/.test(parsed.data.event_id + parsed.data.rel_type)) return undefined;
  return { parentId: parsed.data.event_id, type: parsed.data.rel_type };
}

/**
 * What is to be stored with an event; undefined for most.
 *
 * @see Matrix specification, client-server API, "Forming relationships between events"
 */
export function relationWrite(event: { eventId: string; roomId: string; pdu: Pdu }): Write | undefined {
  const relation = relationOf(event.pdu);
  if (!relation) return undefined;
  return {
    sql: `INSERT INTO event_relations (event_id, room_id, parent_id, rel_type, type, sender)
          VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
    params: [event.eventId, event.roomId, relation.parentId, relation.type, event.pdu.type, event.pdu.sender],
  };
}
