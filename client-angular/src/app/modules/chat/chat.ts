/**
 * The chat of the conference: pages of history, what comes in, changes and goes, and what is on its way out. Messages
 * stand in the order of the own homeserver; times are of foreign clocks and order nothing.
 */
import { computed, inject, Injectable, signal } from '@angular/core';
import { Subject } from 'rxjs';
import { CHAT_MAX_LENGTH, type ChatMessage, compareChatPositions } from '../../../../../protocol/modules/chat.ts';
import type { NotificationData, Result } from '../../../../../protocol/session.ts';
import { Auth } from '../../core/auth.ts';
import { Session } from '../../session/session.ts';
import { SessionError } from '../../session/session-error.ts';
import { ReadMarks } from './read-marks.ts';
import { type Outgoing, UnsentMessages } from './unsent.ts';

const PAGE = 50;

type Known = ReadonlyMap<string, ChatMessage>;

@Injectable({ providedIn: 'root' })
export class Chat {
  readonly #auth = inject(Auth);
  readonly #session = inject(Session);
  readonly #unsent = inject(UnsentMessages);
  readonly #marks = inject(ReadMarks);
  readonly #roomId = signal('');
  #userId: string | undefined;
  readonly #known = signal<Known>(new Map());
  /** The oldest first. */
  readonly messages = computed(() =>
    [...this.#known().values()].sort((a, b) => compareChatPositions(a.position, b.position)),
  );
  /** Written and not confirmed yet. */
  readonly outgoing = computed(() => this.#unsent.outgoing(this.#roomId()));
  /** What stands in the field. */
  readonly draft = computed(() => this.#unsent.draft(this.#roomId()));
  /** Length of the draft as the server counts it, in UTF-16 units; more than `CHAT_MAX_LENGTH` is not sent. */
  readonly draftLength = computed(() => this.draft().trim().length);
  readonly #next = signal<string | undefined>(undefined);
  readonly hasOlder = computed(() => this.#next() !== undefined);
  /** A page is being loaded. */
  readonly paging = signal(false);
  readonly failure = signal<unknown>(undefined);
  readonly #unseen = signal<ReadonlySet<string>>(new Set());
  /** Ids of messages of others that the person has not seen, also of those that came while away. */
  readonly unseen = this.#unseen.asReadonly();
  readonly unread = computed(() => this.#unseen().size);
  /**
   * What notifications have said since the chat was opened, by message id; undefined for what was removed. A page that
   * was read on the server before is older than this.
   */
  #news = new Map<string, ChatMessage | undefined>();
  /** Counts the openings: an answer to an older one is dropped. */
  #round = 0;
  readonly #newMessages = new Subject<readonly ChatMessage[]>();
  /** Messages of others that are new to the person, once each. */
  readonly newMessages = this.#newMessages.asObservable();

  /** Begins with the newest page of this room, also after a time in which notifications were missed. */
  async open(roomId: string): Promise<void> {
    this.#round += 1;
    this.#news = new Map();
    if (roomId !== this.#roomId() || this.#auth.userId() !== this.#userId) {
      this.#userId = this.#auth.userId();
      this.#roomId.set(roomId);
      this.#known.set(new Map());
      this.#unseen.set(new Set());
      this.#next.set(undefined);
    }
    await this.#page(undefined);
  }

  async older(): Promise<void> {
    const before = this.#next();
    if (before !== undefined && !this.paging()) await this.#page(before);
  }

  /** Once more what could not be loaded. */
  async reload(): Promise<void> {
    await this.#page(this.#known().size === 0 ? undefined : this.#next());
  }

  received(message: ChatMessage): void {
    const { eventId } = message;
    if (message.roomId !== this.#roomId() || (this.#news.has(eventId) && !this.#news.get(eventId))) return;
    const before = this.#known();
    this.#news.set(eventId, message);
    this.#known.set(new Map(before).set(eventId, message));
    // The own message may come back before the answer to the request, and does not always name its transaction.
    const own = this.#own(message);
    const settled = this.outgoing().find(
      ({ transactionId, body }) => transactionId === message.transactionId || (own && body === message.body),
    );
    if (settled) this.#unsent.remove(this.#roomId(), settled.transactionId);
    if (!own && !before.has(eventId)) this.#tell([message]);
  }

  changed(message: ChatMessage): void {
    const { eventId } = message;
    if (message.roomId !== this.#roomId() || (this.#news.has(eventId) && !this.#news.get(eventId))) return;
    this.#news.set(eventId, message);
    if (this.#known().has(eventId)) this.#known.update((all) => new Map(all).set(eventId, message));
  }

  removed({ roomId, eventId }: NotificationData<'chat.removed'>): void {
    if (roomId !== this.#roomId()) return;
    this.#news.set(eventId, undefined);
    this.#known.update((all) => new Map([...all].filter(([id]) => id !== eventId)));
    this.seen([eventId]);
  }

  /** The person has seen these messages. */
  seen(eventIds: Iterable<string>): void {
    const left = new Set(this.#unseen());
    for (const id of eventIds) left.delete(id);
    if (left.size < this.#unseen().size) this.#unseen.set(left);
    this.#mark();
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
    this.#unsent.remove(this.#roomId(), transactionId);
    this.write([body, this.draft()].filter((text) => text !== '').join('\n'));
  }

  async #send(roomId: string, message: Outgoing): Promise<void> {
    const { transactionId, body } = message;
    this.#unsent.put(roomId, message);
    try {
      const sent = await this.#session.request('chat.send', { roomId, transactionId, body });
      this.#sent(roomId, sent, transactionId, body);
    } catch (error) {
      // The message itself may have come back meanwhile: then it did arrive.
      if (!this.#unsent.outgoing(roomId).some((one) => one.transactionId === transactionId)) return;
      this.#unsent.put(roomId, { ...message, failed: error instanceof SessionError ? error.code : '' });
    }
  }

  /** Stands in the list from now on; the message itself replaces it when it comes. */
  #sent(roomId: string, { eventId, position }: Result<'chat.send'>, transactionId: string, body: string): void {
    const hello = this.#session.hello();
    this.#unsent.remove(roomId, transactionId);
    if (!hello || roomId !== this.#roomId() || this.#news.has(eventId) || this.#known().has(eventId)) return;
    const { userId: sender, displayName, organisation, guest } = hello;
    const own = { eventId, roomId, sender, displayName, organisation: organisation.serverName, guest, body, position };
    this.#known.update((all) => new Map(all).set(eventId, { ...own, sentAt: Date.now() }));
  }

  async #page(before: string | undefined): Promise<void> {
    const roomId = this.#roomId();
    const round = this.#round;
    this.paging.set(true);
    try {
      const page = await this.#session.request('chat.history', {
        roomId,
        limit: PAGE,
        ...(before === undefined ? {} : { before }),
      });
      if (round !== this.#round) return;
      if (before === undefined) this.#begin(page.messages);
      else this.#known.update((all) => this.#merged([...page.messages, ...all.values()]));
      this.#next.set(page.next);
      this.failure.set(undefined);
    } catch (error) {
      if (round === this.#round) this.failure.set(error);
    } finally {
      if (round === this.#round) this.paging.set(false);
    }
  }

  /**
   * Takes the newest page as the whole of what is known: what is not in it may have been deleted meanwhile. Older
   * messages are asked for again when somebody wants them.
   */
  #begin(page: readonly ChatMessage[]): void {
    const before = this.#known();
    const read = this.#readUpTo(page, before);
    this.#known.set(this.#merged([...page, ...[...this.#news.values()].filter((message) => message !== undefined)]));
    const known = this.#known();
    this.#unseen.update((unseen) => new Set([...unseen].filter((id) => known.has(id))));
    this.#tell(
      this.messages().filter(
        (message) =>
          !before.has(message.eventId) &&
          !this.#news.has(message.eventId) &&
          !this.#own(message) &&
          (read === undefined || compareChatPositions(message.position, read) > 0),
      ),
    );
  }

  /**
   * Up to here nothing is new to the person: to the oldest message that this screen had before, or else to what was read
   * in this browser or the last own message, whichever comes later.
   */
  #readUpTo(page: readonly ChatMessage[], before: Known): ChatMessage['position'] | undefined {
    const positions = [...before.values()].map(({ position }) => position).sort(compareChatPositions);
    if (positions.length > 0) return positions[0];
    const own = page.filter((message) => this.#own(message)).map(({ position }) => position);
    return [...own, this.#marks.of(this.#roomId())]
      .filter((position) => position !== undefined)
      .sort(compareChatPositions)
      .at(-1);
  }

  /** By id; notifications know better than pages. */
  #merged(messages: readonly ChatMessage[]): Known {
    const byId = new Map(messages.map((message) => [message.eventId, message]));
    for (const [eventId, news] of this.#news) {
      if (!news) byId.delete(eventId);
      else if (byId.has(eventId)) byId.set(eventId, news);
    }
    return byId;
  }

  #tell(messages: readonly ChatMessage[]): void {
    if (messages.length === 0) return;
    this.#unseen.update((unseen) => new Set([...unseen, ...messages.map(({ eventId }) => eventId)]));
    this.#newMessages.next(messages);
  }

  /** Remembers the last message before which none is unseen. */
  #mark(): void {
    const unseen = this.#unseen();
    const messages = this.messages();
    const first = messages.findIndex(({ eventId }) => unseen.has(eventId));
    const last = first < 0 ? messages.at(-1) : messages[first - 1];
    if (last) this.#marks.set(this.#roomId(), last.position);
  }

  #own({ sender }: ChatMessage): boolean {
    return sender === this.#session.hello()?.userId;
  }
}
