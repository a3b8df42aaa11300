/** Chat of a meeting: ordinary `m.room.message` events, so that any Matrix client can take part. */
import { serverOf } from '../../federation/event.ts';
import type { ChatMessage } from '../../protocol/session.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';

/** `m.room.message` kinds that have a body to show. */
const SHOWN = new Set(['m.text', 'm.notice', 'm.emote']);

export class Chat {
  readonly #rooms: Rooms;
  constructor(rooms: Rooms) {
    this.#rooms = rooms;
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
    const name = member?.pdu.content['displayname'];
    return {
      eventId: event.eventId,
      roomId,
      sender: pdu.sender,
      displayName: typeof name === 'string' && name.trim() ? name.slice(0, 256) : pdu.sender,
      organisation: serverOf(pdu.sender),
      body,
      sentAt: pdu.origin_server_ts,
    };
  }
}
