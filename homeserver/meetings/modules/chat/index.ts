/** The chat module. */
import type { MeetingModule } from '../module.ts';
import { Chat, type ChatOptions, chatPosition } from './chat.ts';
import { ChatDelivery } from './chat-delivery.ts';

export interface ChatModuleDeps extends ChatOptions {
  /** Counts one message of a user. @throws MatrixError 429 above the limit that holds for the Matrix API as well */
  limitSending(userId: string): Promise<void>;
}

const PAGE = 50;

export function chatModule(deps: ChatModuleDeps): MeetingModule<'chat'> {
  const chat = new Chat(deps);
  const delivery = new ChatDelivery(chat);
  return {
    requests: {
      async 'chat.send'(asker, { roomId, transactionId, body }) {
        await deps.limitSending(asker.userId);
        const event = await chat.send(roomId, asker, transactionId, body);
        return { eventId: event.eventId, position: chatPosition(event) };
      },
      'chat.history': ({ userId }, { roomId, before, limit }) => chat.history(roomId, userId, before, limit ?? PAGE),
    },
    eventTypes: ['m.room.message', 'm.room.redaction'],
    onEvent: (context, event) => delivery.onEvent(context, event),
  };
}
