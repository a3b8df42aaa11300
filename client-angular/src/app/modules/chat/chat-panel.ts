/** The chat: read aloud as it comes, written with Enter. */
import {
  afterNextRender,
  afterRenderEffect,
  ChangeDetectionStrategy,
  Component,
  computed,
  type ElementRef,
  inject,
  Injector,
  LOCALE_ID,
  untracked,
  viewChild,
} from '@angular/core';
import { MatButton, MatIconButton } from '@angular/material/button';
import { CHAT_MAX_LENGTH } from '../../../../../protocol/modules/chat.ts';
import { Chat } from './chat.ts';
import { Restrictions } from '../../conference/restrictions.ts';
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
  host: { '(document:visibilitychange)': 'look()' },
})
export class ChatPanel {
  protected readonly chat = inject(Chat);
  protected readonly restrictions = inject(Restrictions);
  protected readonly store = inject(ConferenceStore);
  readonly #locale = inject(LOCALE_ID);
  readonly #injector = inject(Injector);
  protected readonly list = viewChild.required<ElementRef<HTMLElement>>('list');
  protected readonly maxLength = CHAT_MAX_LENGTH;
  protected readonly notSentText = notSentText;
  protected readonly tooLong = computed(() => this.chat.draftLength() > CHAT_MAX_LENGTH);
  /** The length matters to nobody before it comes near its end. */
  protected readonly lengthShown = computed(() => this.chat.draftLength() > CHAT_MAX_LENGTH * 0.9);

  /** The list stands at its end and goes on with it. */
  #atEnd = true;
  /** Where the list stood when it was last looked at: what lies between there and now was passed by scrolling. */
  #lastTop = 0;

  constructor() {
    let first = true;
    afterRenderEffect(() => {
      this.chat.messages();
      this.chat.outgoing();
      untracked(() => {
        if (first && this.chat.unread() > 0) this.showUnseen();
        else if (this.#atEnd) this.#scrollTo(this.list().nativeElement.scrollHeight);
        first = false;
        this.look();
      });
    });
  }

  protected onScroll(): void {
    this.#atEnd = this.#standsAtEnd();
    const { scrollTop, clientHeight } = this.list().nativeElement;
    // A browser also scrolls by itself, to keep in place what is read while something comes above it.
    const [from, to] = [Math.min(this.#lastTop, scrollTop), Math.max(this.#lastTop, scrollTop) + clientHeight];
    this.#lastTop = scrollTop;
    if (this.chat.unseen().size === 0 || document.hidden) return;
    const passed = this.#articles().filter((article) => {
      const top = this.#topOf(article);
      return top + article.offsetHeight > from && top < to;
    });
    this.chat.seen(passed.map(({ dataset }) => dataset['eventId'] ?? ''));
  }

  /** Brings the first message that was not seen into view, wherever it stands. */
  protected showUnseen(): void {
    const unseen = this.chat.unseen();
    const first = this.#articles().find(({ dataset }) => unseen.has(dataset['eventId'] ?? ''));
    if (first) this.#scrollTo(this.#topOf(first) - 8);
    this.look();
  }

  protected async older(): Promise<void> {
    const list = this.list().nativeElement;
    const below = list.scrollHeight - list.scrollTop;
    this.#atEnd = false;
    await this.chat.older();
    // What was read stays where it was on the screen.
    afterNextRender({ read: () => this.#scrollTo(list.scrollHeight - below) }, { injector: this.#injector });
  }

  #scrollTo(top: number): void {
    const list = this.list().nativeElement;
    list.scrollTop = top;
    this.#lastTop = list.scrollTop;
    this.#atEnd = this.#standsAtEnd();
  }

  #standsAtEnd(): boolean {
    const list = this.list().nativeElement;
    return list.scrollHeight - list.scrollTop - list.clientHeight < 48;
  }

  /** Messages in view are seen, unless nobody looks at the page. */
  protected look(): void {
    const unseen = this.chat.unseen();
    if (unseen.size === 0 || document.hidden) return;
    const { top, bottom } = this.list().nativeElement.getBoundingClientRect();
    const inView = this.#articles().filter((article) => {
      const place = article.getBoundingClientRect();
      return place.bottom > top && place.top < bottom;
    });
    this.chat.seen(inView.map(({ dataset }) => dataset['eventId'] ?? ''));
  }

  /** Where a message begins inside the list. */
  #topOf(article: HTMLElement): number {
    return article.offsetTop - this.list().nativeElement.offsetTop;
  }

  #articles(): HTMLElement[] {
    return [...this.list().nativeElement.querySelectorAll<HTMLElement>('article[data-event-id]')];
  }

  /** For show only, by the sender's server; empty when that says no time. */
  protected time(at: number): string {
    if (at === 0) return '';
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
    this.#atEnd = true;
    if (!this.restrictions.refuses('chat')) void this.chat.send();
  }

  protected onKey(event: KeyboardEvent): void {
    // Safari ends an IME's composition before this Enter, and only its old number tells (229).
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== 'Enter' || event.shiftKey || composing) return;
    this.send(event);
  }
}
