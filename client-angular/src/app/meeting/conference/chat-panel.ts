/** The chat: read aloud as it comes, written with Enter. */
import {
  afterRenderEffect,
  ChangeDetectionStrategy,
  Component,
  computed,
  type ElementRef,
  inject,
  LOCALE_ID,
  viewChild,
} from '@angular/core';
import { MatButton, MatIconButton } from '@angular/material/button';
import { CHAT_MAX_LENGTH } from '../../../../../protocol/session.ts';
import { Chat } from '../../conference/chat.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Icon } from '../../shared/icon.ts';
import { Notice } from '../../shared/notice.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { MessageText } from './message-text.ts';
import { notSentText } from './not-sent-text.ts';

@Component({
  selector: 'ht-chat-panel',
  imports: [MatButton, MatIconButton, Icon, MessageText, Notice, OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './chat-panel.html',
  styleUrl: './chat-panel.scss',
})
export class ChatPanel {
  protected readonly chat = inject(Chat);
  protected readonly store = inject(ConferenceStore);
  readonly #locale = inject(LOCALE_ID);
  protected readonly list = viewChild.required<ElementRef<HTMLElement>>('list');
  protected readonly maxLength = CHAT_MAX_LENGTH;
  protected readonly notSentText = notSentText;
  protected readonly tooLong = computed(() => this.chat.draftLength() > CHAT_MAX_LENGTH);
  /** The length matters to nobody before it comes near its end. */
  protected readonly lengthShown = computed(() => this.chat.draftLength() > CHAT_MAX_LENGTH * 0.9);

  constructor() {
    // New messages come into view, unless the person reads further up.
    let atEnd = true;
    afterRenderEffect(() => {
      this.chat.messages();
      this.chat.outgoing();
      const list = this.list().nativeElement;
      if (atEnd) list.scrollTop = list.scrollHeight;
      list.onscroll = () => {
        atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 48;
      };
    });
  }

  protected time(at: number): string {
    const today = new Date().toDateString() === new Date(at).toDateString();
    return new Intl.DateTimeFormat(this.#locale, {
      ...(today ? {} : { day: 'numeric', month: 'short' }),
      hour: 'numeric',
      minute: '2-digit',
    }).format(at);
  }

  protected number(value: number): string {
    return new Intl.NumberFormat(this.#locale).format(value);
  }

  protected send(event: Event): void {
    event.preventDefault();
    void this.chat.send();
  }

  protected onKey(event: KeyboardEvent): void {
    // Safari ends an IME's composition before this Enter, and only its old number tells (229).
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== 'Enter' || event.shiftKey || composing) return;
    this.send(event);
  }
}
