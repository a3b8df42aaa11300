import { Location } from '@angular/common';
import { ChangeDetectionStrategy, Component } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { provideRouter, withComponentInputBinding } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { LINK_ERRORS } from '../../../../protocol/guest-links.ts';
import { Away } from '../core/away.ts';
import { requireLogin } from '../core/guards.ts';
import { Guest } from './guest.ts';
import { JoinFrom } from './join-from.ts';

const organisation = { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#a3262f' };
const CODE = 'a'.repeat(43);

@Component({ selector: 'ht-test-page', changeDetection: ChangeDetectionStrategy.OnPush, template: '<h1>Page</h1>' })
class Page {}

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 4_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`Not within 4 s: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('Guest link: with a password, and with an account elsewhere', () => {
  let root: HTMLElement;
  let calls: { method: string; path: string; body: unknown }[];
  let answers: Record<string, { status: number; body: object }>;
  let preview: object;
  let gone: string[];

  beforeEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
    calls = [];
    gone = [];
    preview = { password: true, guests: 'enter' };
    answers = {};
    spyOn(globalThis, 'fetch').and.callFake((input, init) => {
      const { pathname } = new URL(String(input), location.href);
      const path = pathname.replace('/_hansetag/client/v1', '');
      const body = init?.body === undefined ? undefined : (JSON.parse(String(init.body)) as unknown);
      calls.push({ method: init?.method ?? 'GET', path, body });
      const set = answers[path];
      if (set) return Promise.resolve(Response.json(set.body, { status: set.status }));
      if (path === '/links/tok')
        return Promise.resolve(Response.json({ roomId: '!r', title: 'T', organisation, ...preview }));
      if (path === '/join-from' && init?.method !== 'POST') return Promise.resolve(Response.json({ organisation }));
      return Promise.resolve(Response.json({ errcode: 'M_NOT_FOUND' }, { status: 404 }));
    });
    TestBed.configureTestingModule({
      providers: [
        { provide: Away, useValue: { go: (url: string) => gone.push(url) } },
        provideRouter(
          [
            { path: 'login', component: Page },
            { path: 'join/:token', component: Guest },
            { path: 'join-from', canActivate: [requireLogin], component: JoinFrom },
            { path: 'meeting/:roomId/lobby', component: Page },
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
  const find = (id: string): HTMLElement | null => root.querySelector<HTMLElement>(`[data-testid=${id}]`);
  const type = (id: string, text: string): void => {
    const field = find(id) as HTMLInputElement;
    field.value = text;
    field.dispatchEvent(new Event('input'));
  };
  const fail = (path: string, status: number, body: object): void => {
    answers[path] = { status, body };
  };
  const logIn = (): void => {
    const session = { userId: '@bert:hamburg.example', deviceId: 'D', accessToken: 'a', guest: false };
    localStorage.setItem('hansetag-session', JSON.stringify(session));
  };
  const path = (): string => TestBed.inject(Location).path();

  it('asks for the password only where the link has one, and says what is wrong with it', async () => {
    fail('/links/tok/join', 403, { errcode: LINK_ERRORS.password });
    await open('/join/tok');
    await until(() => find('guest-password') !== null);
    type('guest-name', 'Gast');
    find('guest-continue')?.click();
    await until(() => find('password-problem')?.textContent?.includes('Please enter the password') === true);
    type('guest-password', 'falsch');
    find('guest-continue')?.click();
    await until(() => find('password-problem')?.textContent?.includes('not the password') === true);
    expect(document.activeElement).toBe(find('guest-password'));
    fail('/links/tok/join', 200, {
      roomId: '!r',
      waiting: true,
      session: { userId: '@guest-1:luebeck.example', deviceId: 'D', accessToken: 'g' },
    });
    type('guest-password', 'richtig!');
    find('guest-continue')?.click();
    await until(() => path() === '/meeting/!r/lobby');
    expect(calls.at(-1)?.body).toEqual({ displayName: 'Gast', password: 'richtig!' });
    expect(JSON.stringify({ ...sessionStorage, ...localStorage })).not.toContain('richtig!');
  });

  it('says what to do where a link is over, and where guests stay out', async () => {
    fail('/links/tok', 404, { errcode: LINK_ERRORS.usedUp });
    await open('/join/tok');
    await until(() => root.textContent?.includes('as it is meant for') === true);
  });

  it('has no field for a name where no guests are let in', async () => {
    preview = { guests: 'no' };
    await open('/join/tok');
    await until(() => find('no-guests') !== null);
    expect([find('guest-name'), find('guest-continue'), find('guest-password')]).toEqual([null, null, null]);
    expect(find('join-with-organisation')).not.toBeNull();
  });

  it('goes on at the own organisation, by the address that the server gives', async () => {
    preview = {};
    await open('/join/tok');
    await until(() => find('join-with-organisation') !== null);
    find('join-with-organisation')?.click();
    await until(() => find('organisation-name') !== null);
    find('go-to-organisation')?.click();
    await until(() => find('organisation-failure') !== null);
    fail('/links/tok/elsewhere', 403, { errcode: 'M_FORBIDDEN', organisation: 'x.example', untrusted: 'not-listed' });
    type('organisation-name', 'hamburg.exmaple');
    find('go-to-organisation')?.click();
    await until(() => find('organisation-failure')?.textContent?.includes('Check the spelling') === true);
    const url = `https://meet.hamburg.example/join-from?server=luebeck.example&code=${CODE}`;
    fail('/links/tok/elsewhere', 200, { organisation, url });
    type('organisation-name', 'hamburg.example');
    find('go-to-organisation')?.click();
    await until(() => gone.length > 0);
    expect(gone).toEqual([url]);
    expect(calls.at(-1)?.body).toEqual({ organisation: 'hamburg.example' });
  });

  it('leaves the page for no address that is none', async () => {
    preview = {};
    fail('/links/tok/elsewhere', 200, { organisation, url: 'javascript:alert(1)' });
    await open('/join/tok');
    await until(() => find('join-with-organisation') !== null);
    find('join-with-organisation')?.click();
    await until(() => find('organisation-name') !== null);
    type('organisation-name', 'hamburg.example');
    find('go-to-organisation')?.click();
    await until(() => find('organisation-failure') !== null);
    expect(gone).toEqual([]);
  });

  it('uses a code only when somebody who is logged in says so, and goes to the lobby', async () => {
    logIn();
    fail('/join-from', 200, { organisation, roomId: '!r' });
    await open(`/join-from?server=luebeck.example&code=${CODE}`);
    await until(() => root.textContent?.includes('Lübeck') === true);
    expect(root.textContent).toContain('@bert:hamburg.example');
    expect(calls.filter(({ method }) => method === 'POST')).toEqual([]);
    find('join-from-go')?.click();
    await until(() => path() === '/meeting/!r/lobby');
    expect(calls.at(-1)?.body).toEqual({ server: 'luebeck.example', code: CODE });
  });

  it('says what to do with a code that is over', async () => {
    logIn();
    await open(`/join-from?server=luebeck.example&code=${CODE}`);
    await until(() => find('join-from-go') !== null);
    fail('/join-from', 404, { errcode: LINK_ERRORS.code, organisation: 'luebeck.example' });
    find('join-from-go')?.click();
    await until(
      () => find('join-from-failure')?.textContent?.includes('Open the link from your invitation again') === true,
    );
    expect(find('join-from-go')).toBeNull();
  });

  it('asks for a log-in first, and comes back with the code', async () => {
    await open(`/join-from?server=luebeck.example&code=${CODE}`);
    expect(path()).toContain('/login?then=');
    expect(decodeURIComponent(path())).toContain(`/join-from?server=luebeck.example&code=${CODE}`);
  });
});
