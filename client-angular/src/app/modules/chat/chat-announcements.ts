/** What is written while the chat is closed, for people who do not see it. An open chat is a log, which is read as it comes. */
import { inject, Injectable } from '@angular/core';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import type { ChatMessage } from '../../../../../protocol/modules/chat.ts';
import { Announcements } from '../../core/announcements.ts';
import { OpenPanel } from '../../shared/open-panel.ts';
import { personName } from '../../shared/person-text.ts';
import { Chat } from './chat.ts';

/** More messages than this are counted. */
const MOST_MESSAGES = 2;
/** So much of a message is read out, in characters. */
const READ_OUT = 200;

@Injectable({ providedIn: 'root' })
export class ChatAnnouncements {
  readonly #announcements = inject(Announcements);
  readonly #chat = inject(Chat);
  readonly #panel = inject(OpenPanel);
  #ids: string[] = [];

  constructor() {
    this.#chat.newMessages.pipe(takeUntilDestroyed()).subscribe((messages) => this.#add(messages));
  }

  #add(messages: readonly ChatMessage[]): void {
    if (this.#panel.name() === 'chat') return;
    this.#ids.push(...messages.map(({ eventId }) => eventId));
    this.#announcements.plan('chat', () => this.#text());
  }

  #text(): string {
    // As they are now: what was deleted or read meanwhile is not said.
    const unseen = this.#chat.unseen();
    const ids = new Set(this.#ids.filter((id) => unseen.has(id)));
    this.#ids = [];
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
