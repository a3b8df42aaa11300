/**
 * Chat of a meeting: ordinary `m.room.message` events, so that any Matrix client can take part. What people get is read
 * from events as they may be seen, with the edit that holds.
 */
import { serverOf } from '../../../../federation/event.ts';
import { isJsonObject, member } from '../../../../federation/json.ts';
import type { JsonObject } from '../../../../federation/json.ts';
import { stateKey } from '../../../../federation/auth-rules.ts';
import type { ChatMessage, ChatPosition } from '../../../../protocol/modules/chat.ts';
import { isTime, MAX_TIME } from '../../../../protocol/values.ts';
import { relationOf } from '../../../engine/rooms/relation-of.ts';
import type { Rooms, StoredEvent } from '../../../engine/rooms/rooms.ts';
import { isGuest, nameIn } from '../../people.ts';

/** `m.room.message` kinds that have a body to show. */
const SHOWN = new Set(['m.text', 'm.notice', 'm.emote']);

/** What an event makes of the chat. */
export type ChatChange =
  | { readonly kind: 'message' | 'changed'; readonly event: StoredEvent; readonly message: ChatMessage }
  | { readonly kind: 'removed'; readonly eventId: string };

/** Which messages are edits of which. */
export interface Edits {
  /** The edit that holds of each message that has one, as a user may see it; by the message's event id. */
  edits(roomId: string, userId: string, eventIds: readonly string[]): Promise<ReadonlyMap<string, StoredEvent>>;
  /** The message that an event edits, or edited before it was redacted. */
  editedBy(eventId: string): Promise<string | undefined>;
}

export interface ChatOptions {
  readonly rooms: Rooms;
  readonly relations: Edits;
  readonly serverName: string;
  /** Whether the rules of the meeting let the sender write what an event says. */
  readonly shows: (event: StoredEvent) => Promise<boolean>;
  /** Whom a user does not want to hear. */
  readonly ignored: (userId: string) => Promise<ReadonlySet<string>>;
}

export class Chat {
  readonly #options: ChatOptions;
  constructor(options: ChatOptions) {
    this.#options = options;
  }

  send(
    roomId: string,
    sender: { userId: string; deviceId: string },
    transactionId: string,
    body: string,
  ): Promise<StoredEvent> {
    return this.#options.rooms.send(roomId, sender.userId, {
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
    const { rooms, relations, ignored } = this.#options;
    const unheard = await ignored(userId);
    const page = await rooms.messages(roomId, userId, {
      ...(before ? { from: before } : {}),
      dir: 'b',
      limit,
      wanted: (events) => events.filter((event) => isMessage(event) && !unheard.has(event.pdu.sender)),
    });
    const edits = await relations.edits(roomId, userId, idsOf(page.events));
    const messages: ChatMessage[] = [];
    for (const event of page.events) {
      if (!(await this.#options.shows(event))) continue;
      messages.unshift(await this.#describe(event, await this.#shownEdit(edits.get(event.eventId))));
    }
    return { messages, ...(page.end ? { next: page.end } : {}) };
  }

  /** What a new event makes of the chat; undefined for what does not touch it. */
  async change(event: StoredEvent): Promise<ChatChange | undefined> {
    if (event.pdu.type === 'm.room.redaction') return this.#afterRedaction(event);
    if (isMessage(event)) {
      if (!(await this.#options.shows(event))) return undefined;
      return { kind: 'message', event, message: await this.#describe(event, undefined) };
    }
    const relation = relationOf(event.pdu);
    if (event.pdu.type !== 'm.room.message' || relation?.type !== 'm.replace') return undefined;
    return this.#changed(event.roomId, relation.parentId, event.pdu.sender);
  }

  /** Those of some users who may see an event and want to hear its sender. */
  async audience(event: StoredEvent, userIds: Iterable<string>): Promise<Set<string>> {
    const { rooms, ignored } = this.#options;
    const found = await Promise.all(
      [...new Set(userIds)].map(async (userId) => {
        if ((await ignored(userId)).has(event.pdu.sender)) return undefined;
        return (await rooms.visibleAmong(event.roomId, userId, [event])).length > 0 ? userId : undefined;
      }),
    );
    return new Set(found.filter((userId) => userId !== undefined));
  }

  async #afterRedaction(redaction: StoredEvent): Promise<ChatChange | undefined> {
    const { rooms, relations } = this.#options;
    const target = await rooms.redactedBy(redaction);
    if (target?.pdu.type !== 'm.room.message') return undefined;
    // Its content is gone; that it was an edit is still known.
    const editedId = await relations.editedBy(target.eventId);
    if (editedId === undefined) return { kind: 'removed', eventId: target.eventId };
    return this.#changed(target.roomId, editedId, target.pdu.sender);
  }

  /** A message whose edits are no longer what they were. Only its own sender can have edited it. */
  async #changed(roomId: string, eventId: string, editor: string): Promise<ChatChange | undefined> {
    const { rooms, relations } = this.#options;
    const event = await rooms.event(eventId);
    if (event?.roomId !== roomId || event.pdu.sender !== editor || !isMessage(event)) return undefined;
    if (!(await this.#options.shows(event))) return undefined;
    const edit = await this.#shownEdit((await relations.edits(roomId, editor, [eventId])).get(eventId));
    return { kind: 'changed', event, message: await this.#describe(event, edit) };
  }

  async #shownEdit(edit: StoredEvent | undefined): Promise<StoredEvent | undefined> {
    return edit && (await this.#options.shows(edit)) ? edit : undefined;
  }

  async #describe(event: StoredEvent, edit: StoredEvent | undefined): Promise<ChatMessage> {
    const { pdu, roomId } = event;
    const membership = (await this.#memberAt(event))?.pdu;
    const content = newContent(edit);
    const editedAt = content === undefined ? undefined : edit?.pdu.origin_server_ts;
    return {
      eventId: event.eventId,
      roomId,
      sender: pdu.sender,
      displayName: nameIn(membership, pdu.sender),
      organisation: serverOf(pdu.sender),
      guest: isGuest(pdu.sender, membership, this.#options.serverName),
      body: bodyOf(content ?? pdu.content) ?? '',
      ...(editedAt === undefined ? {} : { editedAt: shownTime(editedAt) }),
      sentAt: shownTime(pdu.origin_server_ts),
      position: chatPosition(event),
    };
  }

  /** The sender's membership as it was when the event was sent: whoever has left since keeps the name. */
  async #memberAt(event: StoredEvent): Promise<StoredEvent | undefined> {
    const { rooms } = this.#options;
    const id = (await rooms.history.stateAfter(event))?.get(stateKey('m.room.member', event.pdu.sender));
    return id === undefined ? undefined : rooms.event(id);
  }
}

/** Where a message stands among the others: the order in which its page is read, too. */
export function chatPosition(event: StoredEvent): ChatPosition {
  return [event.pdu.depth, event.position];
}

/** A message with a text that stands for itself: no edit, and not deleted. */
function isMessage(event: StoredEvent): boolean {
  const { pdu } = event;
  return pdu.type === 'm.room.message' && relationOf(pdu)?.type !== 'm.replace' && bodyOf(pdu.content) !== undefined;
}

function newContent(edit: StoredEvent | undefined): JsonObject | undefined {
  const content = edit && member(edit.pdu.content, 'm.new_content');
  return isJsonObject(content) && bodyOf(content) !== undefined ? content : undefined;
}

function bodyOf(content: JsonObject): string | undefined {
  const [msgtype, body] = [member(content, 'msgtype'), member(content, 'body')];
  return typeof msgtype === 'string' && SHOWN.has(msgtype) && typeof body === 'string' ? body : undefined;
}

function idsOf(events: readonly StoredEvent[]): string[] {
  return events.map((event) => event.eventId);
}

/** What another server's clock says, as far as it can be shown. */
function shownTime(time: number): number {
  return isTime(time) ? time : time < 0 ? 0 : MAX_TIME;
}
