/** Account data in `/sync`. */
import type { JsonObject } from '../../../federation/json.ts';
import { wants, wantsRoom } from '../../engine/sync/filter.ts';
import { addEvents, addToJoinedRoom } from '../../engine/sync/part.ts';
import type { SyncPart } from '../../engine/sync/part.ts';
import type { AccountData, AccountDataItem } from './account-data.ts';

export function accountDataPart(accountData: AccountData): SyncPart {
  return {
    name: 'account_data',
    async collect(question, answer) {
      const { userId, since, upTo, filter, rooms } = question;
      // Push rules have a part of their own, which formats them for clients.
      const changed = (await accountData.changed(userId, since, upTo)).filter((item) => item.type !== 'm.push_rules');
      const global = changed.filter((item) => item.roomId === '' && wants(filter.account_data, item));
      if (global.length > 0) addEvents(answer, 'account_data', global.map(eventOf));

      const fresh = [...rooms.joined.values()].filter((room) => room.since === undefined).map((room) => room.roomId);
      const isFresh = new Set(fresh);
      const ofRooms = since === undefined ? changed : await accountData.ofRooms(userId, fresh, upTo);
      const items = [
        ...ofRooms.filter((item) => isFresh.has(item.roomId)),
        ...changed.filter((item) => rooms.joined.get(item.roomId)?.since !== undefined),
      ];
      const byRoom = new Map<string, JsonObject[]>();
      for (const item of items) {
        const inFilter = filter.room?.account_data;
        if (!wants(inFilter, { type: item.type }) || !wantsRoom(inFilter, item.roomId)) continue;
        const events = byRoom.get(item.roomId);
        if (events) events.push(eventOf(item));
        else byRoom.set(item.roomId, [eventOf(item)]);
      }
      for (const [roomId, events] of byRoom) addToJoinedRoom(answer, roomId, 'account_data', events);
    },
  };
}

function eventOf({ type, content }: AccountDataItem): JsonObject {
  return { type, content };
}
