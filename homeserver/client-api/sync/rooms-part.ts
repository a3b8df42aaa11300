/** Rooms in `/sync`: timelines, state and memberships. */
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Rooms, StoredEvent } from '../../rooms/rooms.ts';
import { clientEvent, strippedEvent } from '../client-event.ts';
import { joinedRoom } from './part.ts';
import type { SyncPart, SyncQuestion } from './part.ts';

const TIMELINE_LIMIT = 20;
const STRIPPED = ['m.room.create', 'm.room.name', 'm.room.topic', 'm.room.join_rules', 'm.room.avatar'];

export function roomsPart(rooms: Rooms): SyncPart {
  return {
    async collect(question, answer) {
      const { userId, since } = question;
      for (const entry of await rooms.roomsOf(userId, ['join', 'invite', 'leave', 'ban'])) {
        const { roomId, membership, position } = entry;
        if (membership === 'join') {
          const told = await joined(question, roomId, await joinedSince(roomId, userId, position));
          if (told) Object.assign(joinedRoom(answer, roomId), told);
        } else if (membership === 'invite') {
          if (since === undefined || position > since) answer.rooms.invite[roomId] = await invited(roomId, userId);
        } else if (since !== undefined && position > since) {
          const page = await rooms.newest(roomId, userId, { after: since, upTo: position, limit: TIMELINE_LIMIT });
          const version = (await rooms.version(roomId))?.id ?? '';
          answer.rooms.leave[roomId] = {
            timeline: {
              events: page.events.map((event) => clientEvent(event, version)),
              limited: page.limited,
              prev_batch: page.before,
            },
            state: { events: [] },
          };
        }
      }
    },
  };

  async function joined(
    { userId, since, upTo }: SyncQuestion,
    roomId: string,
    joinedAt: number,
  ): Promise<JsonObject | undefined> {
    const version = (await rooms.version(roomId))?.id ?? '';
    const fresh = since === undefined || joinedAt > since;
    const page = await rooms.newest(roomId, userId, {
      ...(fresh ? {} : { after: since }),
      upTo,
      limit: TIMELINE_LIMIT,
    });
    if (!fresh && page.events.length === 0) return undefined;
    const inTimeline = new Set(page.events.map((event) => event.eventId));
    const changed: StoredEvent[] = [];
    if (fresh || page.limited) {
      // The state before the timeline: what the timeline itself brings is left out.
      for (const event of (await rooms.state(roomId)).values()) if (!inTimeline.has(event.eventId)) changed.push(event);
    }
    return {
      timeline: {
        events: page.events.map((event) => clientEvent(event, version)),
        limited: page.limited,
        prev_batch: page.before,
      },
      state: { events: changed.map((event) => clientEvent(event, version)) },
      account_data: { events: [] },
      ephemeral: { events: [] },
      unread_notifications: { highlight_count: 0, notification_count: 0 },
      summary: {},
    };
  }

  async function invited(roomId: string, userId: string): Promise<JsonObject> {
    const invitation = await rooms.invitation(roomId, userId);
    const pdus = invitation
      ? [...invitation.state, invitation.event]
      : [...(await rooms.state(roomId)).values()]
          .map((event) => event.pdu)
          .filter((pdu) => STRIPPED.includes(pdu.type) || (pdu.type === 'm.room.member' && pdu.state_key === userId));
    return { invite_state: { events: pdus.map((pdu) => strippedEvent(pdu)) } };
  }

  /** A changed name is a new membership event too; only the step into the room makes the room new to the client. */
  async function joinedSince(roomId: string, userId: string, position: number): Promise<number> {
    const event = await rooms.stateEvent(roomId, 'm.room.member', userId);
    if (!event) return position;
    const before = await rooms.history.stateBefore(event);
    const previousId = before?.get(`m.room.member\0${userId}`);
    const previous = previousId === undefined ? undefined : await rooms.event(previousId);
    return member(previous?.pdu.content, 'membership') === 'join' ? 0 : position;
  }
}
