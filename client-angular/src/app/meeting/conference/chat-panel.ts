/** The chat: read aloud as it comes, written with Enter. */
import {
  afterRenderEffect,
  ChangeDetectionStrategy,
  Component,
  type ElementRef,
  inject,
  LOCALE_ID,
  signal,
  viewChild,
} from '@angular/core';
import { MatButton, MatIconButton } from '@angular/material/button';
import { CHAT_MAX_LENGTH } from '../../../../../protocol/session.ts';
import { Chat } from '../../conference/chat.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Icon } from '../../shared/icon.ts';
import { Notice } from '../../shared/notice.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';

@Component({
  selector: 'ht-chat-panel',
  imports: [MatButton, MatIconButton, Icon, Notice, OrganisationMark],
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
  protected readonly text = signal('');

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

  protected send(event?: Event): void {
    event?.preventDefault();
    const text = this.text();
    this.text.set('');
    void this.chat.send(text);
  }

  protected onKey(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    this.send(event);
  }
}
