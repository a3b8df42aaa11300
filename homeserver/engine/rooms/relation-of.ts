/** Relations between events. */
import { z } from 'zod';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';

const relationSchema = z.looseObject({
  event_id: z.string().min(1).max(255),
  rel_type: z.string().min(1).max(255),
});

/** The relation of an event; undefined for most. Relations of state events are ignored. */
export function relationOf(pdu: Pdu): { parentId: string; type: string } | undefined {
  if (pdu.state_key !== undefined) return undefined;
  const parsed = relationSchema.safeParse(member(pdu.content, 'm.relates_to'));
  // PostgreSQL cannot store NUL in text; no valid id or type contains one.
  if (!parsed.success || /\0/.test(parsed.data.event_id + parsed.data.rel_type)) return undefined;
  return { parentId: parsed.data.event_id, type: parsed.data.rel_type };
}
