import { type ComponentFixture, TestBed } from '@angular/core/testing';
import { MatDialogRef } from '@angular/material/dialog';
import type { InvitationResult } from '../../../../protocol/session.ts';
import { Auth } from '../core/auth.ts';
import { NewMeetingDialog } from './new-meeting-dialog.ts';

const meeting = {
  roomId: '!aaa',
  title: 'Elbquerung',
  membership: 'join',
  role: 'owner',
  host: { userId: '@bert:luebeck.example', displayName: 'Bert', organisation: 'luebeck.example', guest: false },
  createdAt: 0,
  liveCount: 0,
  organisations: [],
  members: [],
  rights: ['invite'],
};
const MEETINGS = '/_hansetag/client/v1/meetings';
const INVITATIONS = `${MEETINGS}/!aaa/invitations`;

function byTestId(root: HTMLElement, id: string): HTMLElement | null {
  return root.querySelector<HTMLElement>(`[data-testid="${id}"]`);
}

describe('The dialog for a new meeting', () => {
  let fixture: ComponentFixture<NewMeetingDialog>;
  let root: HTMLElement;
  let closed: unknown[];
  let sent: { path: string; body: { title?: string; startsAt?: number; userIds?: string[] } }[];
  /** What becomes of somebody; a promise that never ends is a server that hangs. */
  let outcome: (userId: string) => Partial<InvitationResult> | Promise<never>;

  beforeEach(() => {
    closed = [];
    sent = [];
    outcome = () => ({});
    spyOn(globalThis, 'fetch').and.callFake(async (input, init) => {
      const path = decodeURIComponent(String(input));
      const body = JSON.parse(String(init?.body)) as { userIds?: string[] };
      sent.push({ path, body });
      if (path !== INVITATIONS) return Response.json(meeting);
      const results = await Promise.all(
        (body.userIds ?? []).map(async (userId) => {
          const result = { userId, outcome: 'invited', ...(await outcome(userId)) };
          return { ok: result.outcome === 'invited', ...result };
        }),
      );
      return Response.json({ results });
    });
    TestBed.configureTestingModule({
      providers: [{ provide: MatDialogRef, useValue: { close: (value?: unknown) => closed.push(value) } }],
    });
    TestBed.inject(Auth).enterAsGuest({ userId: '@bert:luebeck.example', deviceId: 'D', accessToken: 'secret' });
    fixture = TestBed.createComponent(NewMeetingDialog);
    fixture.detectChanges();
    root = fixture.nativeElement as HTMLElement;
  });

  afterEach(() => sessionStorage.clear());

  /** No answer is under way any more, except those that never come. */
  async function settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      await fixture.whenStable();
    }
  }

  function fill(id: string, value: string): void {
    const field = byTestId(root, id) as HTMLInputElement;
    field.value = value;
    field.dispatchEvent(new Event('input'));
  }

  async function create(title: string, people: string, date = '', time = ''): Promise<void> {
    fill('meeting-title', title);
    fill('meeting-date', date);
    fill('meeting-time', time);
    fill('meeting-invite', people);
    byTestId(root, 'create-meeting')?.click();
    await settle();
  }

  const results = (): string[] =>
    [...root.querySelectorAll('[data-testid="invite-result"]')].map((row) =>
      (row.textContent ?? '').replace(/\s+/g, ' ').trim(),
    );

  it('makes the meeting, invites everybody who was typed in, and closes', async () => {
    await create(' Elbquerung ', '@anna:hamburg.example.\n@jens:HAMBURG.example');
    expect(sent).toEqual([
      { path: MEETINGS, body: { title: 'Elbquerung' } },
      { path: INVITATIONS, body: { userIds: ['@anna:hamburg.example', '@jens:hamburg.example'] } },
    ]);
    expect(closed).toEqual(['!aaa']);
  });

  it('asks for a title and for proper ids before it makes anything, and names each bad one', async () => {
    await create('', '');
    expect(root.textContent).toContain('needs a title');
    await create('Elbquerung', 'anna@hamburg.example @anna:lübeck.de @clara:luebeck.example');
    expect(results()).toEqual([
      jasmine.stringContaining('anna@hamburg.example is a mail address'),
      jasmine.stringContaining('@anna:lübeck.de is no Matrix id'),
    ]);
    expect(sent).toEqual([]);
  });

  it('makes the meeting once when somebody could not be invited, says why, and offers to correct it', async () => {
    outcome = (userId) =>
      userId.startsWith('@ana:') ? { outcome: 'no-such-person', organisationName: 'Hamburg' } : {};
    await create('Elbquerung', '@ana:hamburg.example @jens:hamburg.example');
    expect(closed).toEqual([]);
    expect(results()).toEqual([
      '@ana:hamburg.example is not known to \u2068Hamburg\u2069. Check the spelling.',
      '@jens:hamburg.example is invited.',
    ]);
    expect((byTestId(root, 'invite-ids') as HTMLTextAreaElement).value).toBe('@ana:hamburg.example');
    fill('invite-ids', '@anna:hamburg.example');
    byTestId(root, 'send-invitations')?.click();
    await settle();
    expect(sent.map(({ path }) => path)).toEqual([MEETINGS, INVITATIONS, INVITATIONS]);
    expect(sent.at(-1)?.body.userIds).toEqual(['@anna:hamburg.example']);
    expect(closed).toEqual(['!aaa']);
  });

  it('shows each answer as it comes and can be closed while an organisation does not answer', async () => {
    outcome = (userId) => (userId.includes('hamburg') ? new Promise<never>(() => undefined) : {});
    await create('Elbquerung', '@anna:hamburg.example @clara:luebeck.example');
    expect(results()).toEqual(['@anna:hamburg.example is being invited …', '@clara:luebeck.example is invited.']);
    byTestId(root, 'meeting-done')?.click();
    expect(closed).toEqual(['!aaa']);
  });

  for (const [what, date, time, says] of [
    ['only a date', '3/28/2099', '', 'The time is missing'],
    ['only a time', '', '14:30', 'The date is missing'],
    ['half a date', '3/', '14:30', 'This is no date'],
    ['31 February', '2/31/2099', '14:30', 'no such day'],
    ['the year 20266', '3/28/20266', '14:30', 'Check the year'],
    ['a past day', '1/1/2020', '14:30', 'has passed'],
    ['an hour that is none', '3/28/2099', '25:00', 'no time of day'],
  ] as const) {
    it(`makes nothing of ${what}, and says why`, async () => {
      await create('Elbquerung', '', date, time);
      expect(byTestId(root, 'meeting-start')?.textContent).toContain(says);
      expect(sent).toEqual([]);
      expect(closed).toEqual([]);
    });
  }

  it('says how it has understood the start, and sends that', async () => {
    fill('meeting-date', '3/28/2099');
    fill('meeting-time', '2:30 pm');
    await fixture.whenStable();
    expect(byTestId(root, 'meeting-start')?.textContent).toContain('Sat, March 28, 2099');
    await create('Elbquerung', '', '3/28/2099', '2:30 pm');
    expect(sent[0]?.body.startsAt).toBe(new Date(2099, 2, 28, 14, 30).getTime());
    expect(closed).toEqual(['!aaa']);
  });
});
