import { Location } from '@angular/common';
import { ChangeDetectionStrategy, Component } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, Router, withComponentInputBinding } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { App } from '../app.ts';
import { Auth } from '../core/auth.ts';
import { requireLogin } from '../core/guards.ts';
import { Login } from '../login/login.ts';
import { Guest } from './guest.ts';

const organisation = { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#a3262f' };
const guestSession = { userId: '@guest-1:luebeck.example', deviceId: 'D', accessToken: 'g1' };
const link = { token: 'tok_en-1', roomId: '!r', name: 'Bert Brandt' };

@Component({ selector: 'ht-test-lobby', changeDetection: ChangeDetectionStrategy.OnPush, template: '<h1>Lobby</h1>' })
class Lobby {}

/** Screens come when they come: waits for what they show. */
async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 4_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`Not within 4 s: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('Guest link: entry by a guest link', () => {
  let root: HTMLElement;
  let calls: { path: string; token: string | null; body: unknown }[];
  let dead: Set<string>;

  beforeEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
    calls = [];
    dead = new Set();
    spyOn(globalThis, 'fetch').and.callFake((input, init) => {
      const path = new URL(String(input), location.href).pathname;
      const token = new Headers(init?.headers).get('authorization')?.replace('Bearer ', '') ?? null;
      const body = init?.body === undefined ? undefined : (JSON.parse(String(init.body)) as unknown);
      calls.push({ path, token, body });
      if (token !== null && dead.has(token)) {
        return Promise.resolve(Response.json({ errcode: 'M_UNKNOWN_TOKEN' }, { status: 401 }));
      }
      if (path.endsWith('/info')) return Promise.resolve(Response.json({}, { status: 500 }));
      if (path.endsWith('/links/tok_en-1')) {
        return Promise.resolve(Response.json({ roomId: '!r', title: 'Elbquerung', organisation }));
      }
      if (path.endsWith('/links/tok_en-1/join')) {
        const session =
          token === null ? { session: { ...guestSession, userId: '@guest-2:l.example', accessToken: 'g2' } } : {};
        return Promise.resolve(Response.json({ roomId: '!r', ...session }));
      }
      return Promise.resolve(Response.json({ errcode: 'M_NOT_FOUND' }, { status: 404 }));
    });
    TestBed.configureTestingModule({
      providers: [
        provideRouter(
          [
            { path: 'login', component: Login },
            { path: 'join/:token', component: Guest },
            { path: 'meeting/:roomId/lobby', canActivate: [requireLogin], component: Lobby },
          ],
          withComponentInputBinding(),
        ),
      ],
    });
  });

  afterEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
  });

  const open = async (path: string): Promise<void> => {
    root = (await RouterTestingHarness.create(path)).fixture.nativeElement as HTMLElement;
  };
  const field = (): HTMLInputElement | null => root.querySelector('[data-testid=guest-name]');
  const path = (): string => TestBed.inject(Location).path();
  const joins = (): { token: string | null; body: unknown }[] =>
    calls.filter((call) => call.path.endsWith('/join')).map(({ token, body }) => ({ token, body }));

  async function enter(name?: string): Promise<void> {
    await until(() => field() !== null);
    const input = field();
    if (input && name !== undefined) {
      input.value = name;
      input.dispatchEvent(new Event('input'));
    }
    root.querySelector<HTMLElement>('[data-testid=guest-continue]')?.click();
  }

  it('asks a guest of before for the name and does not take the old session for a log-in', async () => {
    TestBed.inject(Auth).enterAsGuest(guestSession, link);
    await open('/join/tok_en-1');
    await until(() => field()?.value === 'Bert Brandt');
    expect(root.textContent).not.toContain('@guest-1');
  });

  it('goes on with a guest session that lives', async () => {
    TestBed.inject(Auth).enterAsGuest(guestSession, link);
    await open('/join/tok_en-1');
    await enter();
    await until(() => path() === '/meeting/!r/lobby');
    expect(joins()).toEqual([{ token: 'g1', body: {} }]);
  });

  it('begins a new session where the old one is over, under the same name', async () => {
    TestBed.inject(Auth).enterAsGuest(guestSession, link);
    TestBed.createComponent(App);
    dead.add('g1');
    await open('/join/tok_en-1');
    await enter();
    await until(() => path() === '/meeting/!r/lobby');
    expect(joins()).toEqual([
      { token: 'g1', body: {} },
      { token: null, body: { displayName: 'Bert Brandt' } },
    ]);
    expect(TestBed.inject(Auth).userId()).toBe('@guest-2:l.example');
  });

  it('begins a new session for another name, and ends the old one', async () => {
    TestBed.inject(Auth).enterAsGuest(guestSession, link);
    await open('/join/tok_en-1');
    await enter('Eva Eggers');
    await until(() => path() === '/meeting/!r/lobby');
    expect(calls.filter((call) => call.path.endsWith('/logout')).map(({ token }) => token)).toEqual(['g1']);
    expect(TestBed.inject(Auth).guestLink()?.name).toBe('Eva Eggers');
  });

  it('brings a guest whose session ends in the lobby back to the link, and says so', async () => {
    TestBed.inject(Auth).enterAsGuest(guestSession, link);
    TestBed.createComponent(App);
    await open('/meeting/!r/lobby');
    expect(path()).toBe('/meeting/!r/lobby');
    dead.add('g1');
    await TestBed.inject(Auth).check();
    await until(() => path() === '/join/tok_en-1');
    await until(() => root.textContent?.includes('Your time as a guest has ended') === true);
    await enter();
    await until(() => path() === '/meeting/!r/lobby');
    expect(joins()).toEqual([{ token: null, body: { displayName: 'Bert Brandt' } }]);
  });

  it('is where the lobby leads a guest without a session, and not to the log-in of the staff', async () => {
    sessionStorage.setItem('hansetag-guest-link', JSON.stringify(link));
    await open('/meeting/!r/lobby');
    expect(path()).toBe('/join/tok_en-1');
    await TestBed.inject(Router).navigateByUrl('/meeting/!other/lobby');
    expect(path()).toContain('/login?then=');
  });

  for (const end of ['.', '%3E', '%3E.', '%22', ',', '!', ')', '%E2%80%9C']) {
    it(`is found although the link came with ${decodeURIComponent(end)} of a mail behind it`, async () => {
      await open(`/join/tok_en-1${end}`);
      await until(() => root.textContent?.includes('Elbquerung') === true);
      expect(path()).toBe('/join/tok_en-1');
    });
  }

  it('asks for a name that is missing', async () => {
    await open('/join/tok_en-1');
    await enter(' \u200b\u3164 ');
    await until(() => root.textContent?.includes('Please enter your name') === true);
    expect(joins()).toEqual([]);
  });
});

describe('The end of a log-in', () => {
  beforeEach(() => {
    sessionStorage.clear();
    spyOn(globalThis, 'fetch').and.callFake(() =>
      Promise.resolve(Response.json({ errcode: 'M_UNKNOWN_TOKEN' }, { status: 401 })),
    );
    localStorage.setItem(
      'hansetag-session',
      JSON.stringify({ userId: '@anna:l.example', deviceId: 'D', accessToken: 'a', refreshToken: 'r', guest: false }),
    );
    TestBed.configureTestingModule({
      providers: [
        provideRouter(
          [
            { path: 'login', component: Login },
            { path: 'meeting/:roomId', canActivate: [requireLogin], component: Lobby },
          ],
          withComponentInputBinding(),
        ),
      ],
    });
  });

  afterEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
  });

  it('in the middle of a meeting is told, and the next log-in comes back to it', async () => {
    TestBed.createComponent(App);
    const root = (await RouterTestingHarness.create('/meeting/!r')).fixture.nativeElement as HTMLElement;
    await TestBed.inject(Auth).check();
    await until(() => root.querySelector('[data-testid=session-ended]') !== null);
    expect(root.querySelector('[data-testid=session-ended]')?.textContent).toContain('your place in the meeting');
    expect(TestBed.inject(Location).path()).toBe('/login?then=%2Fmeeting%2F!r');
  });

  it('that somebody wanted is no accident', async () => {
    TestBed.createComponent(App);
    const root = (await RouterTestingHarness.create('/meeting/!r')).fixture.nativeElement as HTMLElement;
    await TestBed.inject(Auth).logout();
    await until(() => TestBed.inject(Location).path() === '/login');
    expect(root.querySelector('[data-testid=session-ended]')).toBeNull();
  });
});
