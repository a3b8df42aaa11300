/**
 * What is said to people who do not see the screen: who comes and goes, and what is written while the chat is closed.
 * It is gathered, and said at most every few seconds: whoever listens to the meeting is not talked over.
 */
import { LiveAnnouncer } from '@angular/cdk/a11y';
import { DestroyRef, inject, Injectable } from '@angular/core';
import type { ChatMessage } from '../../../../../protocol/modules/chat.ts';
import { Chat } from '../../conference/chat.ts';
import type { ConferenceEvent } from '../../conference/conference-client.ts';
import { personName } from '../../shared/person-text.ts';

/** The first of a row is said after this, the next ones after this, in ms. */
const GATHER_MS = 1_500;
const REST_MS = 6_000;
/** More people than this are counted, and so are more messages than this. */
const MOST_PEOPLE = 3;
const MOST_MESSAGES = 2;
/** So much of a message is read out, in characters. */
const READ_OUT = 200;

@Injectable()
export class Announcements {
  readonly #announcer = inject(LiveAnnouncer);
  readonly #chat = inject(Chat);
  #people: string[] = [];
  #messages: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saidAt = -Infinity;

  constructor() {
    inject(DestroyRef).onDestroy(() => clearTimeout(this.#timer));
  }

  /** The answer to what the person has just done. */
  now(text: string): void {
    void this.#announcer.announce(text, 'assertive');
  }

  people({ kind, person }: ConferenceEvent): void {
    const name = personName(person);
    this.#people.push(
      kind === 'joined'
        ? $localize`:@@announce.joined:${name}:NAME: has joined.`
        : $localize`:@@announce.left:${name}:NAME: has left.`,
    );
    this.#plan();
  }

  messages(messages: readonly ChatMessage[]): void {
    this.#messages.push(...messages.map(({ eventId }) => eventId));
    this.#plan();
  }

  #plan(): void {
    const wait = Math.max(GATHER_MS, this.#saidAt + REST_MS - performance.now());
    this.#timer ??= setTimeout(() => this.#say(), wait);
  }

  #say(): void {
    this.#timer = undefined;
    const text = [this.#peopleText(), this.#chatText()].filter((part) => part !== '').join(' ');
    this.#people = [];
    this.#messages = [];
    if (text === '') return;
    this.#saidAt = performance.now();
    void this.#announcer.announce(text, 'polite');
  }

  #peopleText(): string {
    return this.#people.length > MOST_PEOPLE
      ? $localize`:@@announce.many:${this.#people.length}:COUNT: people came or left.`
      : this.#people.join(' ');
  }

  #chatText(): string {
    // As they are now: what was deleted or read meanwhile is not said.
    const unseen = this.#chat.unseen();
    const ids = new Set(this.#messages.filter((id) => unseen.has(id)));
    const messages = this.#chat.messages().filter(({ eventId }) => ids.has(eventId));
    const last = messages.at(-1);
    if (!last) return '';
    if (messages.length > MOST_MESSAGES) {
      return $localize`:@@announce.messages:${messages.length}:COUNT: new messages in the chat, the last one by ${personName(last)}:NAME:.`;
    }
    return messages
      .map(
        (message) =>
          $localize`:@@announce.message:Chat, ${personName(message)}:NAME:: ${beginning(message.body)}:TEXT:`,
      )
      .join(' ');
  }
}

function beginning(text: string): string {
  if (text.length <= READ_OUT) return text;
  const [...characters] = new Intl.Segmenter().segment(text.slice(0, READ_OUT));
  // The last one may be cut in two.
  return `${characters
    .slice(0, -1)
    .map(({ segment }) => segment)
    .join('')} …`;
}
