/** Presence in `/sync`, of users who share a room. */
import { splitStateKey } from '../../../federation/auth-rules.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { wants } from '../../engine/sync/filter.ts';
import { addEvents } from '../../engine/sync/part.ts';
import type { SyncPart, SyncQuestion } from '../../engine/sync/part.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import { presenceContent } from './presence.ts';
import type { Presence } from './presence.ts';

/** Up to this many newly met users, those without known presence are included as well. */
const FEW = 200;

export function presencePart(presence: Presence, rooms: RoomReader): SyncPart {
  return {
    name: 'presence',
    async collect(question, answer) {
      const { userId, since, upTo, filter, only } = question;
      if (presence.mode === 'off' || !wants(filter.presence, { type: 'm.presence' })) return;
      const changed = presence.changed(since ?? 0, upTo);
      const met = since === undefined ? new Set<string>() : await newlyMet(question);
      if (changed.size === 0 && met.size === 0) return;
      const shared = new Set(
        only === undefined ? [userId, ...(await rooms.sharedUsers(userId))] : await rooms.joinedUsers(only),
      );
      const events: JsonObject[] = [];
      for (const sender of new Set([...changed, ...met])) {
        const state = presence.of(sender);
        if ((state && state.position > upTo) || !shared.has(sender)) continue;
        if (!wants(filter.presence, { type: 'm.presence', sender })) continue;
        if (state) events.push({ type: 'm.presence', sender, content: presenceContent(state) });
        else if (met.size <= FEW) events.push({ type: 'm.presence', sender, content: { presence: 'offline' } });
      }
      if (events.length > 0) addEvents(answer, 'presence', events);
    },
  };

  /** Members of rooms that the user joined, and users who joined rooms that the user is in. */
  async function newlyMet({ rooms: asked, since, upTo }: SyncQuestion): Promise<Set<string>> {
    const met = new Set<string>();
    for (const roomId of asked.entered) {
      if (asked.joined.has(roomId)) for (const userId of await rooms.joinedUsers(roomId)) met.add(userId);
    }
    for (const change of await rooms.changes.ofRooms([...asked.joined.keys()], since ?? upTo, upTo)) {
      const [type, userId] = splitStateKey(change.key);
      // A change of name does not make a user new, but sending their presence again does no harm.
      if (type === 'm.room.member') met.add(userId);
    }
    return met;
  }
}
