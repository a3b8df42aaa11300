/** Brings what changes in the chat of a meeting to those who are in its conference. */
import type { Logger } from 'pino';
import { Serial } from '../base/serial.ts';
import type { StoredEvent } from '../engine/rooms/rooms.ts';
import type { Chat } from './chat.ts';
import type { Conferences } from './conference/conferences.ts';
import type { Session } from './session/session.ts';

export interface ChatDeliveryDeps {
  readonly chat: Chat;
  readonly conferences: Pick<Conferences, 'get' | 'seats'>;
  /** All sessions there are now. */
  sessions(): Iterable<Session>;
  readonly log: Logger;
}

export class ChatDelivery {
  readonly #deps: ChatDeliveryDeps;
  /** Changes of one room's chat go out in the order in which they were made. */
  readonly #inOrder = new Serial();

  constructor(deps: ChatDeliveryDeps) {
    this.#deps = deps;
  }

  /** An event that may change the chat of its room was stored. */
  onEvent(event: StoredEvent): void {
    const { roomId } = event;
    this.#inOrder
      .run(roomId, () => this.#deliver(event))
      .catch((error: unknown) => this.#deps.log.warn({ err: error, roomId }, 'chat was not delivered'));
  }

  async #deliver(event: StoredEvent): Promise<void> {
    const { chat, conferences, sessions } = this.#deps;
    const { roomId } = event;
    const conference = conferences.get(roomId);
    if (!conference) return;
    const change = await chat.change(event);
    if (!change) return;
    const present = (): Session[] =>
      [...sessions()].filter((session) => conferences.seats.of(session)?.conference === conference);
    if (change.kind === 'removed') {
      for (const session of present()) session.notify('chat.removed', { roomId, eventId: change.eventId });
      return;
    }
    const audience = await chat.audience(
      change.event,
      present().map(({ owner }) => owner.userId),
    );
    for (const session of present()) {
      const { userId } = session.owner;
      if (!audience.has(userId)) continue;
      const own = userId === event.pdu.sender && event.transactionId !== undefined && change.kind === 'message';
      const message = own ? { ...change.message, transactionId: event.transactionId } : change.message;
      session.notify(change.kind === 'message' ? 'chat.message' : 'chat.changed', message);
    }
  }
}
