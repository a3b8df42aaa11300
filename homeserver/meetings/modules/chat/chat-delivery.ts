/** Brings what changes in the chat of a meeting to those who are in its conference. */
import { Serial } from '../../../base/serial.ts';
import type { StoredEvent } from '../../../engine/rooms/rooms.ts';
import type { MeetingContext } from '../module.ts';
import type { Chat } from './chat.ts';

export class ChatDelivery {
  readonly #chat: Chat;
  /** Changes of one room's chat go out in the order in which they were made. */
  readonly #inOrder = new Serial();

  constructor(chat: Chat) {
    this.#chat = chat;
  }

  /** An event that may change the chat of its room was stored. */
  onEvent(context: MeetingContext, event: StoredEvent): Promise<void> {
    return this.#inOrder.run(context.roomId, () => this.#deliver(context, event));
  }

  async #deliver(context: MeetingContext, event: StoredEvent): Promise<void> {
    const { roomId } = context;
    const change = await this.#chat.change(event);
    if (!change) return;
    if (change.kind === 'removed') {
      context.notifyAll('chat.removed', { roomId, eventId: change.eventId });
      return;
    }
    const audience = await this.#chat.audience(
      change.event,
      context.own().map(({ userId }) => userId),
    );
    for (const { participantId, userId } of context.own()) {
      if (!audience.has(userId)) continue;
      const own = userId === event.pdu.sender && event.transactionId !== undefined && change.kind === 'message';
      const message = own ? { ...change.message, transactionId: event.transactionId } : change.message;
      context.notify(participantId, change.kind === 'message' ? 'chat.message' : 'chat.changed', message);
    }
  }
}
