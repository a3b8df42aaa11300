/** Receipts of remote users. @see Matrix specification, server-server API, "Receipts" */
import { z } from 'zod';
import { isUserId } from '../../../federation/identifiers.ts';
import { isJsonObject } from '../../../federation/json.ts';
import { serverOf } from '../../../federation/event.ts';
import type { Edus } from '../../engine/federation/edus.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { Receipts } from './receipts.ts';

const receiptSchema = z.looseObject({
  data: z.looseObject({
    ts: z.number().int().min(0).catch(0),
    thread_id: z
      .string()
      .regex(/^[^\0]{1,255}$/)
      .optional()
      .catch(undefined),
  }),
  event_ids: z
    .array(z.string().regex(/^\$[^\0]{0,254}$/))
    .min(1)
    .max(100),
});
const MAX_ROOMS = 500;
const MAX_USERS = 1_000;
const roomSchema = z.object({ 'm.read': z.custom<object>(isJsonObject).optional() });

export function receiptsFromServers(edus: Edus, rooms: RoomReader, receipts: Receipts): void {
  edus.on('m.receipt', async (origin, content) => {
    for (const [roomId, room] of Object.entries(content).slice(0, MAX_ROOMS)) {
      const parsed = roomSchema.safeParse(room);
      if (!parsed.success || roomId.includes('\0') || !(await rooms.serverAllowed(roomId, origin))) continue;
      for (const [userId, value] of Object.entries(parsed.data['m.read'] ?? {}).slice(0, MAX_USERS)) {
        const receipt = receiptSchema.safeParse(value);
        if (!receipt.success || !isUserId(userId) || serverOf(userId) !== origin) continue;
        if (!(await rooms.isInside(roomId, userId))) continue;
        const [eventId] = receipt.data.event_ids;
        if (eventId === undefined) continue;
        const event = await rooms.event(eventId);
        if (event && event.roomId !== roomId) continue;
        await receipts.store(
          { roomId, userId, kind: 'm.read', threadId: receipt.data.data.thread_id, eventId, at: receipt.data.data.ts },
          event && !event.outlier ? event.position : undefined,
        );
      }
    }
  });
}
