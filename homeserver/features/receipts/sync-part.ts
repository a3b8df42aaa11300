/** Receipts in `/sync`. */
import type { JsonObject } from '../../../federation/json.ts';
import { isJsonObject } from '../../../federation/json.ts';
import { wants, wantsRoom } from '../../engine/sync/filter.ts';
import { addToJoinedRoom } from '../../engine/sync/part.ts';
import type { SyncPart } from '../../engine/sync/part.ts';
import type { Receipt, Receipts } from './receipts.ts';

export function receiptsPart(receipts: Receipts): SyncPart {
  return {
    name: 'receipts',
    async collect({ userId, upTo, filter, rooms }, answer) {
      const inFilter = filter.room?.ephemeral;
      if (!wants(inFilter, { type: 'm.receipt' })) return;
      const wanted = [...rooms.joined.values()].filter((room) => wantsRoom(inFilter, room.roomId));
      const known = wanted.filter((room) => room.since !== undefined);
      const fresh = wanted.filter((room) => room.since === undefined).map((room) => room.roomId);
      const found = [
        ...(await receipts.changed(
          known.map((room) => room.roomId),
          userId,
          known[0]?.since ?? upTo,
          upTo,
        )),
        ...(await receipts.changed(fresh, userId, 0, upTo)),
      ];
      const byRoom = Map.groupBy(found, (receipt) => receipt.roomId);
      for (const [roomId, list] of byRoom) addToJoinedRoom(answer, roomId, 'ephemeral', receiptEvents(list));
    },
  };
}

/**
 * The format for clients. One `m.receipt` event holds one receipt per user and event; a user may have both a threaded
 * and an unthreaded receipt for an event, so there may be several.
 */
export function receiptEvents(receipts: readonly Receipt[]): JsonObject[] {
  const contents: JsonObject[] = [];
  for (const { eventId, kind, userId, at, threadId } of receipts) {
    const data: JsonObject = { ts: at, ...(threadId === undefined ? {} : { thread_id: threadId }) };
    const free = contents.find((content) => inner(inner(content, eventId), kind)?.[userId] === undefined);
    const content = free ?? {};
    if (!free) contents.push(content);
    const ofEvent = (inner(content, eventId) ?? (content[eventId] = {})) as JsonObject;
    const ofKind = (inner(ofEvent, kind) ?? (ofEvent[kind] = {})) as JsonObject;
    ofKind[userId] = data;
  }
  return contents.map((content) => ({ type: 'm.receipt', content }));
}

function inner(object: JsonObject | undefined, key: string): JsonObject | undefined {
  const value = object?.[key];
  return isJsonObject(value) ? value : undefined;
}
