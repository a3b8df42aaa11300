/** The chat of the conference: pages of history, what comes in, and what is on its way out. */
import { computed, inject, Injectable, signal } from '@angular/core';
import { CHAT_MAX_LENGTH, type ChatMessage, compareChatPositions, type Result } from '../../../../protocol/session.ts';
import { Session } from '../session/session.ts';
import { SessionError } from '../session/session-error.ts';
import { type Outgoing, UnsentMessages } from './unsent.ts';

const PAGE = 50;

@Injectable({ providedIn: 'root' })
export class Chat {
  readonly #session = inject(Session);
  readonly #unsent = inject(UnsentMessages);
  readonly #roomId = signal('');
  readonly #messages = signal<readonly ChatMessage[]>([]);
  /** The oldest first. */
  readonly messages = this.#messages.asReadonly();
  /** Written and not confirmed yet. */
  readonly outgoing = computed(() => this.#unsent.outgoing(this.#roomId()));
  /** What stands in the field. */
  readonly draft = computed(() => this.#unsent.draft(this.#roomId()));
  /** Length of the draft as the server counts it, in UTF-16 units; more than `CHAT_MAX_LENGTH` is not sent. */
  readonly draftLength = computed(() => this.draft().trim().length);
  readonly #next = signal<string | undefined>(undefined);
  readonly hasOlder = computed(() => this.#next() !== undefined);
  readonly failure = signal<unknown>(undefined);
  readonly #unread = signal(0);
  /** Messages of others that came since `read`. */
  readonly unread = this.#unread.asReadonly();

  /** Begins with the newest page of this room. */
  async open(roomId: string): Promise<void> {
    if (roomId !== this.#roomId()) {
      this.#roomId.set(roomId);
      this.#messages.set([]);
      this.#unread.set(0);
    }
    await this.#page(undefined);
  }

  async older(): Promise<void> {
    const before = this.#next();
    if (before !== undefined) await this.#page(before);
  }

  received(message: ChatMessage): void {
    if (message.roomId !== this.#roomId()) return;
    this.#add([message]);
    // The own message may come back before the answer to the request, and does not always name its transaction.
    const own = message.sender === this.#session.hello()?.userId;
    const settled = this.outgoing().find(
      ({ transactionId, body }) => transactionId === message.transactionId || (own && body === message.body),
    );
    if (settled) this.#settle(settled.transactionId);
    if (!own) this.#unread.update((count) => count + 1);
  }

  /** Everything that is here was seen. */
  read(): void {
    this.#unread.set(0);
  }

  write(draft: string): void {
    this.#unsent.setDraft(this.#roomId(), draft);
  }

  /** Sends the draft. What is too long for one message stays a draft. */
  async send(): Promise<void> {
    const body = this.draft().trim().toWellFormed();
    if (body === '' || body.length > CHAT_MAX_LENGTH) return;
    this.write('');
    await this.#send(this.#roomId(), { transactionId: crypto.randomUUID(), body });
  }

  /** The transaction id stays the same: a message that did arrive is not written twice. */
  async retry({ transactionId, body }: Outgoing): Promise<void> {
    await this.#send(this.#roomId(), { transactionId, body });
  }

  /** Takes a message that was not sent back into the field, before what stands there. */
  edit({ transactionId, body }: Outgoing): void {
    this.#settle(transactionId);
    this.write([body, this.draft()].filter((text) => text !== '').join('\n'));
  }

  async #send(roomId: string, message: Outgoing): Promise<void> {
    const { transactionId, body } = message;
    this.#unsent.put(roomId, message);
    try {
      const sent = await this.#session.request('chat.send', { roomId, transactionId, body });
      this.#sent(roomId, sent, transactionId, body);
    } catch (error) {
      this.#unsent.put(roomId, { ...message, failed: error instanceof SessionError ? error.code : '' });
    }
  }

  /** Stands in the list from now on; the message itself replaces it when it comes. */
  #sent(roomId: string, { eventId, position }: Result<'chat.send'>, transactionId: string, body: string): void {
    const hello = this.#session.hello();
    this.#unsent.remove(roomId, transactionId);
    if (!hello || roomId !== this.#roomId() || this.#messages().some((message) => message.eventId === eventId)) return;
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
    const roomId = this.#roomId();
    try {
      const page = await this.#session.request('chat.history', {
        roomId,
        limit: PAGE,
        ...(before === undefined ? {} : { before }),
      });
      if (roomId !== this.#roomId()) return;
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
    this.#unsent.remove(this.#roomId(), transactionId);
  }
}
