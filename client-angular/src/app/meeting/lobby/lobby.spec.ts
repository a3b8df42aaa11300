import { type ComponentFixture, TestBed } from '@angular/core/testing';
import { NEVER, type Observable, Subject } from 'rxjs';
import { provideRouter } from '@angular/router';
import type { MeetingDetails } from '../../../../../protocol/client-api.ts';
import { NO_RULES } from '../../../../../protocol/modules/rules.ts';
import { ApiError } from '../../core/api-error.ts';
import { Api } from '../../core/api.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { Session } from '../../session/session.ts';
import { MEETING_PROVIDERS } from '../meeting-routes.ts';
import { Lobby } from './lobby.ts';

describe('The lobby', () => {
  let fixture: ComponentFixture<Lobby>;

  let meeting: jasmine.Spy<Api['meeting']>;
  const details: MeetingDetails = {
    roomId: '!r',
    title: 'Elbquerung',
    membership: 'join',
    role: 'participant',
    host: { userId: '@bert:luebeck.example', displayName: 'Bert', organisation: 'luebeck.example', guest: false },
    createdAt: 0,
    liveCount: 0,
    organisations: [],
    members: [],
    invitations: [],
    rights: [],
    rules: NO_RULES,
  };

  async function open(answer: ApiError | MeetingDetails): Promise<HTMLElement> {
    TestBed.configureTestingModule({ providers: [MEETING_PROVIDERS, provideRouter([])] });
    meeting = spyOn(TestBed.inject(Api), 'meeting');
    if (answer instanceof ApiError) meeting.and.rejectWith(answer);
    else meeting.and.resolveTo(answer);
    // Nobody has invited either.
    spyOn(TestBed.inject(Api), 'meetings').and.resolveTo([]);
    fixture = TestBed.createComponent(Lobby);
    fixture.componentRef.setInput('roomId', '!r');
    const root = fixture.nativeElement as HTMLElement;
    await fixture.whenStable();
    // The answer comes by several promises, which nobody who waits for what is drawn knows of.
    for (let looks = 0; looks < 100 && root.textContent.includes('Before the meeting: …'); looks += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await fixture.whenStable();
    }
    return root;
  }

  afterEach(() => fixture.destroy());

  it('of a meeting that is not there offers the way back, and lets go of camera and microphone', async () => {
    const root = await open(new ApiError(404, 'M_NOT_FOUND', 'no'));
    expect(root.querySelector('h1')?.textContent).toContain('can not be opened');
    expect(root.querySelector('[data-testid=lobby-join]')).toBeNull();
    expect(root.textContent).toContain('To my meetings');
    expect(root.textContent).not.toContain('Try again');
    expect(TestBed.inject(LocalMedia).camera().on).toBeFalse();
  });

  it('says who is there now, and not who was there when it was opened', async () => {
    const changed = new Subject<Record<string, never>>();
    spyOn(Session.prototype, 'on').and.callFake(
      (name) => (name === 'meetings.changed' ? changed : NEVER) as Observable<never>,
    );
    const root = await open(details);
    expect(root.textContent).toContain('Nobody is there yet');
    meeting.and.resolveTo({ ...details, liveCount: 2, startsAt: 9e15 });
    changed.next({});
    await new Promise((resolve) => setTimeout(resolve, 50));
    await fixture.whenStable();
    expect(root.textContent).toContain('2 people are already there');
    expect(root.querySelector('time')).toBeNull();
    meeting.and.rejectWith(new ApiError(0, 'HT_UNREACHABLE', 'no answer'));
    changed.next({});
    await new Promise((resolve) => setTimeout(resolve, 50));
    await fixture.whenStable();
    expect(root.querySelector('h1')?.textContent).toContain('Elbquerung');
  });

  it('whose server does not answer can be tried again', async () => {
    const root = await open(new ApiError(0, 'M_UNKNOWN', 'no answer'));
    expect(root.textContent).toContain('does not answer');
    expect(root.textContent).toContain('Try again');
  });
});
