import { TestBed } from '@angular/core/testing';
import { MatDialogRef } from '@angular/material/dialog';
import { provideRouter } from '@angular/router';
import type { Meeting } from '../../../../protocol/client-api.ts';
import { Auth } from '../core/auth.ts';
import { MeetingCard } from './meeting-card.ts';
import { NewMeetingDialog } from './new-meeting-dialog.ts';

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
});

describe('The dialog for a new meeting', () => {
  let closed: unknown[];
  let sent: { path: string; body: unknown }[];
  let invitations: unknown[];

  beforeEach(() => {
    closed = [];
    sent = [];
    invitations = [];
    spyOn(globalThis, 'fetch').and.callFake((input, init) => {
      sent.push({ path: String(input), body: JSON.parse(String(init?.body)) as unknown });
      return Promise.resolve(Response.json({ ...meeting, invitations }));
    });
    TestBed.configureTestingModule({
      providers: [{ provide: MatDialogRef, useValue: { close: (value?: unknown) => closed.push(value) } }],
    });
    TestBed.inject(Auth).enterAsGuest({ userId: '@bert:luebeck.example', deviceId: 'D', accessToken: 'secret' });
  });

  afterEach(() => sessionStorage.removeItem('hansetag-session'));

  async function create(title: string, people: string): Promise<HTMLElement> {
    const fixture = TestBed.createComponent(NewMeetingDialog);
    fixture.detectChanges();
    const root = fixture.nativeElement as HTMLElement;
    for (const [id, value] of Object.entries({ 'meeting-title': title, 'meeting-invite': people })) {
      const field = byTestId(root, id) as HTMLInputElement;
      field.value = value;
      field.dispatchEvent(new Event('input'));
    }
    byTestId(root, 'create-meeting')?.click();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await fixture.whenStable();
    fixture.detectChanges();
    return root;
  }

  it('creates a meeting with everybody who was typed in, and closes', async () => {
    invitations = [{ userId: '@anna:hamburg.example', ok: true }];
    await create(' Elbquerung ', '@anna:hamburg.example\n@jens:hamburg.example');
    expect(sent).toEqual([
      {
        path: '/_hansetag/client/v1/meetings',
        body: { title: 'Elbquerung', invite: ['@anna:hamburg.example', '@jens:hamburg.example'] },
      },
    ]);
    expect(closed).toEqual(['!aaa']);
  });

  it('asks for a title and for proper ids before it sends anything', async () => {
    expect((await create('', '')).textContent).toContain('needs a title');
    expect((await create('Elbquerung', 'anna@hamburg.example')).textContent).toContain('Not a Matrix id');
    expect(sent).toEqual([]);
  });

  it('stays open when somebody could not be invited, and says who and why', async () => {
    invitations = [{ userId: '@nobody:hamburg.example', ok: false, errcode: 'M_NOT_FOUND' }];
    const root = await create('Elbquerung', '@nobody:hamburg.example');
    expect(closed).toEqual([]);
    expect(root.textContent).toContain('@nobody:hamburg.example');
    expect(root.textContent).toContain('hamburg.example does not know this person');
  });
});
