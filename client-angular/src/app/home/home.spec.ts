import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter } from '@angular/router';
import type { Meeting } from '../../../../protocol/client-api.ts';
import { Api } from '../core/api.ts';
import { ApiError } from '../core/api-error.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { WallClock } from '../core/wall-clock.ts';
import { Home } from './home.ts';
import { MeetingCard } from './meeting-card.ts';

const meeting: Meeting = {
  roomId: '!aaa',
  title: 'Elbquerung',
  membership: 'join',
  role: 'owner',
  host: { userId: '@bert:luebeck.example', displayName: 'Bert', organisation: 'luebeck.example', guest: false },
  createdAt: 0,
  liveCount: 0,
  organisations: [
    { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#a3262f' },
    { serverName: 'hamburg.example', displayName: 'Hamburg', colour: '#1c4f9c' },
  ],
};

function byTestId(root: HTMLElement, id: string): HTMLElement | null {
  return root.querySelector<HTMLElement>(`[data-testid="${id}"]`);
}

describe('A meeting card', () => {
  beforeEach(() => TestBed.configureTestingModule({ providers: [provideRouter([])] }));

  function card(change: Partial<Meeting> = {}): { root: HTMLElement; answers: string[] } {
    const fixture = TestBed.createComponent(MeetingCard);
    fixture.componentRef.setInput('meeting', { ...meeting, ...change });
    const answers: string[] = [];
    fixture.componentInstance.answered.subscribe((answer) => answers.push(answer));
    fixture.detectChanges();
    return { root: fixture.nativeElement as HTMLElement, answers };
  }

  it('names the organisations and leads to the lobby', () => {
    const { root } = card();
    expect(root.textContent).toContain('Hamburg');
    expect(byTestId(root, 'meeting-card')?.dataset['roomId']).toBe('!aaa');
    expect(byTestId(root, 'join-meeting')?.getAttribute('href')).toContain('/lobby');
  });

  it('offers inviting and guest links only to those who lead', () => {
    expect(byTestId(card().root, 'make-link')).not.toBeNull();
    expect(byTestId(card({ role: 'participant' }).root, 'make-link')).toBeNull();
    expect(byTestId(card({ role: 'guest' }).root, 'invite-people')).toBeNull();
  });

  it('of an invitation says who invites, and is answered instead of joined', () => {
    const { root, answers } = card({ membership: 'invite' });
    expect(root.textContent).toContain('Bert (@bert:luebeck.example) invites you');
    expect(byTestId(root, 'join-meeting')).toBeNull();
    byTestId(root, 'accept-invitation')?.click();
    byTestId(root, 'decline-invitation')?.click();
    expect(answers).toEqual(['accept', 'decline']);
  });

  it('says how many people are there now', () => {
    expect(card({ liveCount: 1 }).root.textContent).toContain('1 person is there now');
    expect(card({ liveCount: 3 }).root.textContent).toContain('3 people are there now');
  });

  it('shows no time where another server states none that exists, and stands', () => {
    for (const startsAt of [9e15, -1, NaN, Infinity]) {
      const { root } = card({ startsAt, endsAt: startsAt, timeZone: 'Middle-earth/Shire' });
      expect(root.querySelector('h3')?.textContent).toContain('Elbquerung');
      expect(root.querySelector('time')).toBeNull();
    }
  });

  it('tells meetings without a time apart by when they were made, and by whom', () => {
    TestBed.overrideProvider(WallClock, { useValue: { now: signal(new Date(2027, 2, 1, 12).getTime()) } });
    const first = card({ createdAt: new Date(2027, 1, 3, 9, 5).getTime() }).root.textContent ?? '';
    const second = card({ createdAt: new Date(2026, 1, 3, 9, 5).getTime() }).root.textContent ?? '';
    expect(first).toContain('made by Bert: Wed, February 3, 9:05');
    expect(second).toContain('2026');
  });

  it('keeps names and titles that turn the direction of text to themselves', () => {
    const name = '\u202etdnarb treB';
    const { root } = card({ membership: 'invite', title: name, host: { ...meeting.host, displayName: name } });
    const isolated = [...root.querySelectorAll('bdi')].map(({ textContent }) => textContent);
    expect(isolated.filter((text) => text === name).length).toBe(2);
    expect(root.querySelector('article')?.getAttribute('aria-label')).toBe(`\u2068${name}\u2069`);
  });

  it('without a title says so', () => {
    expect(card({ title: ' ' }).root.querySelector('h3')?.textContent).toContain('Without a title');
  });
});

describe('The home page', () => {
  const invitation: Meeting = { ...meeting, membership: 'invite' };

  it('tries an acceptance that failed once more, by the name of the organisation that did not answer', async () => {
    TestBed.configureTestingModule({ providers: [provideRouter([])] });
    const api = TestBed.inject(Api);
    TestBed.inject(OrganisationNames).learn(invitation.organisations);
    spyOn(api, 'meetings').and.resolveTo([invitation]);
    spyOn(api, 'loadOwn').and.rejectWith(new Error('away'));
    spyOn(api, 'loadInfo').and.rejectWith(new Error('away'));
    const answer = spyOn(api, 'answer').and.rejectWith(
      new ApiError(502, 'M_UNKNOWN', 'down', { organisation: 'hamburg.example' }),
    );
    const fixture = TestBed.createComponent(Home);
    const root = fixture.nativeElement as HTMLElement;
    await fixture.whenStable();
    byTestId(root, 'accept-invitation')?.click();
    await fixture.whenStable();
    expect(root.querySelector('ht-notice')?.textContent).toContain('The server of \u2068Hamburg\u2069 could not');
    answer.and.resolveTo(false);
    byTestId(root, 'again')?.click();
    await fixture.whenStable();
    expect(answer.calls.allArgs()).toEqual([
      ['!aaa', 'accept'],
      ['!aaa', 'accept'],
    ]);
    expect(root.querySelector('ht-notice')).toBeNull();
  });

  it('moves on with the time of day', async () => {
    const now = signal(new Date(2027, 2, 1, 23, 50).getTime());
    TestBed.configureTestingModule({
      providers: [provideRouter([]), { provide: WallClock, useValue: { now } }],
    });
    const api = TestBed.inject(Api);
    spyOn(api, 'loadOwn').and.rejectWith(new Error('away'));
    spyOn(api, 'loadInfo').and.rejectWith(new Error('away'));
    spyOn(api, 'meetings').and.resolveTo([{ ...meeting, startsAt: new Date(2027, 2, 2, 0, 10).getTime() }]);
    const fixture = TestBed.createComponent(Home);
    await fixture.whenStable();
    const text = (): string => (fixture.nativeElement as HTMLElement).textContent ?? '';
    expect(text()).toContain('Tomorrow');
    expect(text()).toContain('in 20 minutes');
    now.set(new Date(2027, 2, 2, 0, 5).getTime());
    await fixture.whenStable();
    expect(text()).toContain('Today');
    expect(text()).toContain('in 5 minutes');
    now.set(new Date(2027, 2, 2, 9).getTime());
    await fixture.whenStable();
    expect(text()).not.toContain('Next');
  });
});
