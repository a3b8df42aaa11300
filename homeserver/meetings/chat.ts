/** Chat of a meeting: ordinary `m.room.message` events, so that any Matrix client can take part. */
import { serverOf } from '../../federation/event.ts';
import type { ChatMessage, ChatPosition } from '../../protocol/session.ts';
import { MAX_TIME } from '../../protocol/values.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { isGuest, nameIn } from './people.ts';

/** `m.room.message` kinds that have a body to show. */
const SHOWN = new Set(['m.text', 'm.notice', 'm.emote']);

export class Chat {
  readonly #rooms: Rooms;
  readonly #serverName: string;

  constructor(rooms: Rooms, serverName: string) {
    this.#rooms = rooms;
    this.#serverName = serverName;
  }

  send(
    roomId: string,
    sender: { userId: string; deviceId: string },
    transactionId: string,
    body: string,
  ): Promise<StoredEvent> {
    return this.#rooms.send(roomId, sender.userId, {
      type: 'm.room.message',
      content: { msgtype: 'm.text', body },
      transactionId,
      deviceId: sender.deviceId,
    });
  }

  /** A page of messages, oldest first, with the token of the page before it. */
  async history(
    roomId: string,
    userId: string,
    before: string | undefined,
    limit: number,
  ): Promise<{ messages: ChatMessage[]; next?: string }> {
    const page = await this.#rooms.messages(roomId, userId, {
      ...(before ? { from: before } : {}),
      dir: 'b',
      limit,
      wanted: (events) => events.filter((event) => event.pdu.type === 'm.room.message'),
    });
    const messages: ChatMessage[] = [];
    for (const event of page.events) {
      const message = await this.describe(event);
      if (message) messages.unshift(message);
    }
    return { messages, ...(page.end ? { next: page.end } : {}) };
  }

  /** A stored event as the client shows it; undefined when it is not a message with a text. */
  async describe(event: StoredEvent): Promise<ChatMessage | undefined> {
    const { pdu, roomId } = event;
    const { msgtype, body } = pdu.content;
    if (pdu.type !== 'm.room.message' || typeof msgtype !== 'string' || !SHOWN.has(msgtype)) return undefined;
    if (typeof body !== 'string') return undefined;
    const member = await this.#rooms.stateEvent(roomId, 'm.room.member', pdu.sender);
    return {
      eventId: event.eventId,
      roomId,
      sender: pdu.sender,
      displayName: nameIn(member?.pdu, pdu.sender),
      organisation: serverOf(pdu.sender),
      guest: isGuest(pdu.sender, member?.pdu, this.#serverName),
      body,
      sentAt: Math.min(Math.max(pdu.origin_server_ts, 0), MAX_TIME),
      position: chatPosition(event),
    };
  }
}

/** Where a message stands among the others: the order in which its page is read, too. */
export function chatPosition(event: StoredEvent): ChatPosition {
  return [event.pdu.depth, event.position];
}
