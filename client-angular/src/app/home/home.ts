/** Home: what is next? The next meeting large, invitations to answer, everything else below. */
import {
  afterNextRender,
  ChangeDetectionStrategy,
  Component,
  computed,
  DestroyRef,
  ElementRef,
  inject,
  Injector,
  signal,
} from '@angular/core';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import { MatButton } from '@angular/material/button';
import { Router } from '@angular/router';
import { merge } from 'rxjs';
import type { Meeting } from '../../../../protocol/client-api.ts';
import { Api } from '../core/api.ts';
import { Auth } from '../core/auth.ts';
import { errorText } from '../core/error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { readLink } from '../core/read-link.ts';
import { WallClock } from '../core/wall-clock.ts';
import { Session } from '../session/session.ts';
import { Header } from '../shared/header.ts';
import { Icon } from '../shared/icon.ts';
import { Notice } from '../shared/notice.ts';
import { OwnDialogs } from '../shared/own-dialogs.ts';
import { arrange } from './arrange.ts';
import { MeetingCard } from './meeting-card.ts';

@Component({
  selector: 'ht-home',
  imports: [MatButton, Header, Icon, MeetingCard, Notice],
  providers: [OwnDialogs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './home.html',
  styleUrl: './home.scss',
})
export class Home {
  readonly #api = inject(Api);
  readonly #dialogs = inject(OwnDialogs);
  readonly #router = inject(Router);
  readonly #session = inject(Session);
  readonly #injector = inject(Injector);
  readonly #destroyed = inject(DestroyRef);
  readonly #names = inject(OrganisationNames);
  readonly #now = inject(WallClock).now;
  readonly #host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  protected readonly guest = inject(Auth).guest;
  protected readonly meetings = signal<Meeting[] | undefined>(undefined);
  /** What failed, and the same once more. */
  protected readonly failure = signal<{ text: string; again: () => Promise<void> } | undefined>(undefined);
  /** Counts the loads: an older answer that comes later is dropped. */
  #loads = 0;
  #failed: 'list' | 'answer' = 'list';
  protected readonly linkFailure = signal(false);
  /** Rooms with an answer under way. */
  protected readonly answering = signal<ReadonlySet<string>>(new Set());
  protected readonly arranged = computed(() => {
    const meetings = this.meetings();
    return meetings && arrange(meetings, this.#now());
  });
  protected readonly empty = computed(() => this.meetings()?.length === 0);

  constructor() {
    this.#session.start();
    // A new session may have missed a change.
    merge(this.#session.newSessions, this.#session.on('meetings.changed'))
      .pipe(takeUntilDestroyed())
      .subscribe(() => void this.load());
    void this.load();
  }

  protected async load(): Promise<void> {
    const load = ++this.#loads;
    try {
      const meetings = await this.#api.meetings();
      if (load !== this.#loads) return;
      this.meetings.set(meetings);
      // A list that is here says nothing of an answer that failed.
      if (this.#failed === 'list') this.failure.set(undefined);
    } catch (error) {
      if (load === this.#loads) this.#fail('list', error, () => this.load());
    }
  }

  protected async newMeeting(): Promise<void> {
    await this.#dialogs.ask(async () => (await import('./new-meeting-dialog.ts')).NewMeetingDialog, {
      width: '560px',
      maxWidth: '96vw',
      autoFocus: 'first-tabbable',
    });
    if (!this.#destroyed.destroyed) void this.load();
  }

  protected async invite(meeting: Meeting, makeLink: boolean): Promise<void> {
    await this.#dialogs.ask(async () => (await import('../shared/invite-dialog.ts')).InviteDialog, {
      width: '560px',
      maxWidth: '96vw',
      autoFocus: 'first-tabbable',
      data: { roomId: meeting.roomId, title: meeting.title, makeLink },
    });
  }

  protected async answer(meeting: Meeting, answer: 'accept' | 'decline'): Promise<void> {
    const { roomId } = meeting;
    if (this.answering().has(roomId)) return;
    this.answering.update((rooms) => new Set(rooms).add(roomId));
    this.failure.set(undefined);
    try {
      if (await this.#api.answer(roomId, answer)) {
        if (!this.#destroyed.destroyed) await this.#router.navigate(['/meeting', roomId, 'lobby']);
        return;
      }
      await this.load();
      // The card stands elsewhere now; who answered wants to go on from there.
      if (answer === 'accept' && !this.#destroyed.destroyed)
        afterNextRender({ read: () => this.#focusJoin(roomId) }, { injector: this.#injector });
    } catch (error) {
      this.#fail('answer', error, () => this.answer(meeting, answer));
    } finally {
      this.answering.update((rooms) => new Set([...rooms].filter((other) => other !== roomId)));
    }
  }

  #fail(what: 'list' | 'answer', error: unknown, again: () => Promise<void>): void {
    this.#failed = what;
    this.failure.set({ text: errorText(error, this.#names.of), again });
  }

  #focusJoin(roomId: string): void {
    const cards = [...this.#host.querySelectorAll<HTMLElement>('[data-testid="meeting-card"]')];
    const card = cards.find((candidate) => candidate.dataset['roomId'] === roomId);
    card?.querySelector<HTMLElement>('[data-testid="join-meeting"]')?.focus();
  }

  protected joinByLink(event: Event, text: string): void {
    event.preventDefault();
    const target = readLink(text, location.origin);
    this.linkFailure.set(target === undefined);
    if (target?.kind === 'own') void this.#router.navigateByUrl(target.path);
    else if (target) location.assign(target.url);
  }
}
