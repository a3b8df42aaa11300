/** The chat of the conference: pages of history, what comes in, and what is on its way out. */
import { computed, inject, Injectable, signal } from '@angular/core';
import { CHAT_MAX_LENGTH, type ChatMessage, compareChatPositions, type Result } from '../../../../protocol/session.ts';
import { Session } from '../session/session.ts';

const PAGE = 50;

export interface Outgoing {
  transactionId: string;
  body: string;
  failed: boolean;
}

@Injectable({ providedIn: 'root' })
export class Chat {
  readonly #session = inject(Session);
  #roomId = '';
  readonly #messages = signal<readonly ChatMessage[]>([]);
  /** The oldest first. */
  readonly messages = this.#messages.asReadonly();
  readonly #outgoing = signal<readonly Outgoing[]>([]);
  readonly outgoing = this.#outgoing.asReadonly();
  readonly #next = signal<string | undefined>(undefined);
  readonly hasOlder = computed(() => this.#next() !== undefined);
  readonly failure = signal<unknown>(undefined);
  readonly #unread = signal(0);
  /** Messages of others that came since `read`. */
  readonly unread = this.#unread.asReadonly();

  /** Begins with the newest page of this room. */
  async open(roomId: string): Promise<void> {
    if (roomId !== this.#roomId) {
      this.#roomId = roomId;
      this.#messages.set([]);
      this.#outgoing.set([]);
      this.#unread.set(0);
    }
    await this.#page(undefined);
  }

  async older(): Promise<void> {
    const before = this.#next();
    if (before !== undefined) await this.#page(before);
  }

  received(message: ChatMessage): void {
    if (message.roomId !== this.#roomId) return;
    this.#add([message]);
    // The own message may come back before the answer to the request, and does not always name its transaction.
    const own = message.sender === this.#session.hello()?.userId;
    const settled = this.#outgoing().find(
      ({ transactionId, body }) => transactionId === message.transactionId || (own && body === message.body),
    );
    if (settled) this.#settle(settled.transactionId);
    if (!own) this.#unread.update((count) => count + 1);
  }

  /** Everything that is here was seen. */
  read(): void {
    this.#unread.set(0);
  }

  async send(text: string): Promise<void> {
    const body = text.trim().slice(0, CHAT_MAX_LENGTH);
    if (body === '') return;
    const transactionId = crypto.randomUUID();
    this.#outgoing.update((all) => [...all, { transactionId, body, failed: false }]);
    await this.#send(transactionId, body);
  }

  /** The transaction id stays the same: a message that did arrive is not written twice. */
  async retry({ transactionId, body }: Outgoing): Promise<void> {
    this.#mark(transactionId, false);
    await this.#send(transactionId, body);
  }

  async #send(transactionId: string, body: string): Promise<void> {
    try {
      const roomId = this.#roomId;
      const sent = await this.#session.request('chat.send', { roomId, transactionId, body });
      this.#sent(roomId, sent, transactionId, body);
    } catch {
      this.#mark(transactionId, true);
    }
  }

  /** Stands in the list from now on; the message itself replaces it when it comes. */
  #sent(roomId: string, { eventId, position }: Result<'chat.send'>, transactionId: string, body: string): void {
    const hello = this.#session.hello();
    this.#settle(transactionId);
    if (!hello || roomId !== this.#roomId || this.#messages().some((message) => message.eventId === eventId)) return;
    const { userId: sender, displayName, organisation, guest } = hello;
    this.#add([
      {
        eventId,
        roomId,
        sender,
        displayName,
        organisation: organisation.serverName,
        guest,
        body,
        sentAt: Date.now(),
        position,
      },
    ]);
  }

  async #page(before: string | undefined): Promise<void> {
    const roomId = this.#roomId;
    try {
      const page = await this.#session.request('chat.history', {
        roomId,
        limit: PAGE,
        ...(before === undefined ? {} : { before }),
      });
      if (roomId !== this.#roomId) return;
      this.#add(page.messages);
      this.#next.set(page.next);
      this.failure.set(undefined);
    } catch (error) {
      this.failure.set(error);
    }
  }

  #add(messages: readonly ChatMessage[]): void {
    this.#messages.update((all) => {
      const byId = new Map(all.map((message) => [message.eventId, message]));
      for (const message of messages) byId.set(message.eventId, message);
      return [...byId.values()].sort((a, b) => compareChatPositions(a.position, b.position));
    });
  }

  #settle(transactionId: string): void {
    this.#outgoing.update((all) => all.filter((outgoing) => outgoing.transactionId !== transactionId));
  }

  #mark(transactionId: string, failed: boolean): void {
    this.#outgoing.update((all) =>
      all.map((outgoing) => (outgoing.transactionId === transactionId ? { ...outgoing, failed } : outgoing)),
    );
  }
}
