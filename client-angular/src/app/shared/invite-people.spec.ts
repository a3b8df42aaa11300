import { type ComponentFixture, TestBed } from '@angular/core/testing';
import { Subject } from 'rxjs';
import type { InvitationResult, NotificationData } from '../../../../protocol/session.ts';
import { ApiError } from '../core/api-error.ts';
import { Api } from '../core/api.ts';
import { Auth } from '../core/auth.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { Session } from '../session/session.ts';
import { fromError, fromResult } from './invitation.ts';
import { invitationText } from './invitation-text.ts';
import { InvitePeople } from './invite-people.ts';

function result(userId: string, change: Partial<InvitationResult> = {}): InvitationResult {
  return { userId, outcome: 'invited', ok: change.outcome === undefined, ...change };
}

describe('Inviting people', () => {
  let fixture: ComponentFixture<InvitePeople>;
  let root: HTMLElement;
  let finished: Subject<NotificationData<'invitation.finished'>>;
  /** Requests under way: whom they are about, and how they end. */
  let asked: { userIds: string[]; answer(results: InvitationResult[]): void; fail(error: unknown): void }[];

  beforeEach(() => {
    asked = [];
    finished = new Subject();
    spyOn(TestBed.inject(Session), 'on').withArgs('invitation.finished').and.returnValue(finished);
    spyOn(TestBed.inject(Api), 'invite').and.callFake(
      (_roomId, userIds) =>
        new Promise((resolve, reject) => {
          asked.push({ userIds, answer: (results) => resolve({ results }), fail: reject });
        }),
    );
    TestBed.inject(OrganisationNames).learn([
      { serverName: 'hamburg.example:9548', displayName: 'Hamburg', colour: '#1c4f9c' },
    ]);
    fixture = TestBed.createComponent(InvitePeople);
    fixture.componentRef.setInput('roomId', '!r');
    fixture.detectChanges();
    root = fixture.nativeElement as HTMLElement;
  });

  const field = (): HTMLTextAreaElement | null => root.querySelector('[data-testid=invite-ids]');
  const rows = (): (string | null)[] =>
    [...root.querySelectorAll('[data-testid=invite-result]')].map((row) => row.getAttribute('data-outcome'));

  async function settle(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 30));
    await fixture.whenStable();
  }

  async function invite(text: string): Promise<void> {
    const input = field();
    if (input) {
      input.value = text;
      input.dispatchEvent(new Event('input'));
    }
    root.querySelector<HTMLElement>('[data-testid=send-invitations]')?.click();
    await settle();
  }

  it('of nobody says a word and leads back to the field', async () => {
    await invite('  ');
    expect(root.querySelector('[data-testid=invite-empty]')?.textContent).toContain('Whom do you want to invite?');
    expect(asked).toEqual([]);
  });

  it('asks organisations side by side, and shows each answer as it comes', async () => {
    await invite('@a:one.example @b:two.example @c:one.example');
    expect(asked.map(({ userIds }) => userIds)).toEqual([['@a:one.example', '@c:one.example'], ['@b:two.example']]);
    expect(rows()).toEqual(['sending', 'sending', 'sending']);
    asked[1]?.answer([result('@b:two.example')]);
    await settle();
    expect(rows()).toEqual(['sending', 'invited', 'sending']);
    // Meanwhile others can be invited.
    await invite('@d:three.example');
    expect(asked.length).toBe(3);
    asked[2]?.answer([result('@d:three.example')]);
    asked[0]?.fail(new ApiError(502, 'M_UNKNOWN', 'down', { organisation: 'one.example' }));
    await settle();
    expect(rows().sort()).toEqual(['invited', 'invited', 'unreachable', 'unreachable']);
    expect(field()?.value).toBe('@a:one.example\n@c:one.example');
  });

  it('invites the good ids although others are none, and keeps these in the field', async () => {
    await invite('@a:one.example, anna@hamburg.de, @x:lübeck.de');
    expect(asked.map(({ userIds }) => userIds)).toEqual([['@a:one.example']]);
    asked[0]?.answer([result('@a:one.example')]);
    await settle();
    expect(rows().sort()).toEqual(['bad-id', 'invited', 'mail-address']);
    expect(field()?.value).toBe('anna@hamburg.de\n@x:lübeck.de');
  });

  it('does not ask about oneself', async () => {
    TestBed.inject(Auth).enterAsGuest({ userId: '@bert:luebeck.example', deviceId: 'D', accessToken: 'secret' });
    await invite('@bert:luebeck.example');
    sessionStorage.clear();
    expect(rows()).toEqual(['self']);
    expect(root.textContent).toContain('is you. You are in this meeting already.');
    expect(asked).toEqual([]);
  });

  it('tells the end of an invitation that took longer', async () => {
    await invite('@a:one.example');
    asked[0]?.answer([result('@a:one.example', { outcome: 'pending', ok: false })]);
    await settle();
    expect(rows()).toEqual(['pending']);
    finished.next({ roomId: '!other', ...result('@a:one.example') });
    finished.next({ roomId: '!r', ...result('@a:one.example', { outcome: 'no-such-person' }) });
    await settle();
    expect(rows()).toEqual(['no-such-person']);
  });
});

describe('What became of an invitation', () => {
  const nameOf = (serverName: string): string => (serverName === 'hamburg.example:9548' ? 'Hamburg' : serverName);
  const anna = '@anna:hamburg.example:9548';

  it('is said in words of its own for every cause, by the name of the organisation', () => {
    const outcomes = ['already-invited', 'already-member', 'self', 'bad-id', 'no-such-person', 'banned'] as const;
    const failures = ['refused', 'unreachable', 'failed', 'pending'] as const;
    const texts = [...outcomes, ...failures].map((outcome) =>
      invitationText(fromResult(result(anna, { outcome })), nameOf),
    );
    const codes = ['M_UNAUTHORIZED', 'M_INCOMPATIBLE_ROOM_VERSION', 'M_LIMIT_EXCEEDED'].map((errcode) =>
      invitationText(fromResult(result(anna, { outcome: 'refused', errcode })), nameOf),
    );
    const requests = [
      new ApiError(0, 'HT_UNREACHABLE', ''),
      new ApiError(429, 'M_LIMIT_EXCEEDED', '', { retryAfterMs: 60_000 }),
      new ApiError(403, 'M_FORBIDDEN', ''),
    ].map((error) => invitationText(fromError(anna, error), nameOf));
    const all = [...texts, ...codes, ...requests];
    expect(new Set(all).size).toBe(all.length);
    expect(all.join(' ')).not.toContain('9548');
    expect(all.filter((text) => text.includes('could not be reached')).length).toBe(1);
  });
});
