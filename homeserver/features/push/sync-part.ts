/** Push rules and unread counts in `/sync`. */
import type { JsonObject } from '../../../federation/json.ts';
import { wants } from '../../engine/sync/filter.ts';
import { addEvents, joinedRoom } from '../../engine/sync/part.ts';
import type { SyncPart } from '../../engine/sync/part.ts';
import type { AccountDataStore } from '../../engine/client/account-data-store.ts';
import type { Evaluator } from './evaluator.ts';
import type { Notifications, Unread } from './notifications.ts';
import { PUSH_RULES } from './rules.ts';
import type { PushRules } from './rules.ts';

export interface PushPartOptions {
  readonly accountData: AccountDataStore;
  readonly rules: PushRules;
  readonly notifications: Notifications;
  readonly evaluator: Evaluator;
}

/** Runs last: it adds unread counts to the rooms that other parts have added. */
export function pushPart({ accountData, rules, notifications, evaluator }: PushPartOptions): SyncPart {
  return {
    name: 'push',
    async collect({ userId, since, upTo, filter }, answer) {
      if (wants(filter.account_data, { type: PUSH_RULES })) {
        const changed = since === undefined || (await accountData.isChanged(userId, '', PUSH_RULES, since, upTo));
        if (changed) addEvents(answer, 'account_data', [{ type: PUSH_RULES, content: await rules.content(userId) }]);
      }
      const roomIds = Object.keys(answer.rooms.join);
      if (roomIds.length === 0) return;
      await evaluator.settled();
      const unread = await notifications.unread(userId, roomIds, upTo);
      const timeline = filter.room?.timeline;
      const byThread =
        timeline?.unread_thread_notifications ?? timeline?.['org.matrix.msc3773.unread_thread_notifications'] ?? false;
      for (const roomId of roomIds) {
        const room = joinedRoom(answer, roomId);
        const threads = unread.get(roomId) ?? new Map<string, Unread>();
        if (!byThread) {
          room['unread_notifications'] = json(sum([...threads.values()]));
          continue;
        }
        room['unread_notifications'] = json(threads.get('main') ?? sum([]));
        const others = [...threads].filter(([threadId]) => threadId !== 'main');
        if (others.length === 0) continue;
        room['unread_thread_notifications'] = Object.fromEntries(others.map(([id, count]) => [id, json(count)]));
      }
    },
  };
}

function sum(counts: readonly Unread[]): Unread {
  return {
    notifications: counts.reduce((total, count) => total + count.notifications, 0),
    highlights: counts.reduce((total, count) => total + count.highlights, 0),
  };
}

function json({ notifications, highlights }: Unread): JsonObject {
  return { notification_count: notifications, highlight_count: highlights };
}
