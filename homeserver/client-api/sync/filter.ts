/** Filters as clients store them or give them to `/sync`. @see Matrix specification, client-server API, "Filtering" */
import { z } from 'zod';

const names = z.array(z.string().max(255)).max(500).optional();
const eventFilter = z.looseObject({
  limit: z.number().int().min(0).max(1_000_000).optional(),
  types: names,
  not_types: names,
  senders: names,
  not_senders: names,
});
const roomEventFilter = eventFilter.extend({
  rooms: names,
  not_rooms: names,
  contains_url: z.boolean().optional(),
  lazy_load_members: z.boolean().optional(),
  include_redundant_members: z.boolean().optional(),
  unread_thread_notifications: z.boolean().optional(),
  related_by_rel_types: names,
  related_by_senders: names,
});
export const filterSchema = z.looseObject({
  event_fields: names,
  event_format: z.enum(['client', 'federation']).optional(),
  presence: eventFilter.optional(),
  account_data: eventFilter.optional(),
  room: z
    .looseObject({
      rooms: names,
      not_rooms: names,
      include_leave: z.boolean().optional(),
      timeline: roomEventFilter.optional(),
      state: roomEventFilter.optional(),
      ephemeral: roomEventFilter.optional(),
      account_data: roomEventFilter.optional(),
    })
    .optional(),
});

export type Filter = z.output<typeof filterSchema>;
export type EventFilter = z.output<typeof eventFilter>;
export type RoomEventFilter = z.output<typeof roomEventFilter>;
