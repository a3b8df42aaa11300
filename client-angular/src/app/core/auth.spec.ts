import { TestBed } from '@angular/core/testing';
import * as z from 'zod';
import { ApiError } from './api-error.ts';
import { Auth } from './auth.ts';
import { errorText } from './error-text.ts';
import { postponed, requestJson } from './request.ts';

interface Call {
  path: string;
  token: string | null;
  body: unknown;
}

describe('The log-in of this browser', () => {
  let calls: Call[];
  let answer: (call: Call) => Response;

  beforeEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
    calls = [];
    spyOn(globalThis, 'fetch').and.callFake((input, init) => {
      const call = {
        path: String(input),
        token: new Headers(init?.headers).get('authorization'),
        body: init?.body === undefined ? undefined : (JSON.parse(String(init.body)) as unknown),
      };
      calls.push(call);
      return Promise.resolve(answer(call));
    });
  });

  afterEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
  });

  const login = async (auth: Auth): Promise<string> => {
    answer = () =>
      Response.json({ user_id: '@bert:luebeck.example', access_token: 'a1', refresh_token: 'r1', device_id: 'D' });
    const then = await auth.finishLogin('one-time');
    calls = [];
    return then;
  };

  it('exchanges the one-time token and comes back to where the person wanted to go', async () => {
    sessionStorage.setItem('hansetag-after-login', '/meeting/!r/lobby');
    const auth = TestBed.inject(Auth);
    expect(await login(auth)).toBe('/meeting/!r/lobby');
    expect(auth.userId()).toBe('@bert:luebeck.example');
    expect(localStorage.getItem('hansetag-session')).toContain('a1');
  });

  it('does not go to another site after the log-in', async () => {
    sessionStorage.setItem('hansetag-after-login', 'https://evil.example/');
    expect(await login(TestBed.inject(Auth))).toBe('/');
  });

  it('is finished only by the tab that has started it, and once', () => {
    const auth = TestBed.inject(Auth);
    expect(auth.isOwnLogin(undefined)).withContext('nothing was started').toBeFalse();
    const back = new URL(auth.loginReturn());
    const attempt = back.searchParams.get('attempt') ?? '';
    expect(back.pathname).toMatch(/\/login$/);
    expect(attempt.length).toBeGreaterThan(15);
    expect(auth.isOwnLogin('somebody else')).toBeFalse();
    expect(auth.isOwnLogin(attempt)).withContext('a wrong one ends it').toBeFalse();
    const again = new URL(auth.loginReturn()).searchParams.get('attempt') ?? '';
    expect(again).not.toBe(attempt);
    expect(auth.isOwnLogin(again)).toBeTrue();
    expect(auth.isOwnLogin(again)).withContext('twice').toBeFalse();
  });

  it('renews a refused token once, also for requests at the same time', async () => {
    const auth = TestBed.inject(Auth);
    await login(auth);
    answer = ({ path, token }) => {
      if (path.endsWith('/refresh')) return Response.json({ access_token: 'a2', refresh_token: 'r2' });
      if (token === 'Bearer a2') return Response.json({ fine: true });
      return Response.json({ errcode: 'M_UNKNOWN_TOKEN' }, { status: 401 });
    };
    const schema = z.object({ fine: z.boolean() });
    const results = await Promise.all([auth.request(schema, '/one'), auth.request(schema, '/two')]);
    expect(results).toEqual([{ fine: true }, { fine: true }]);
    expect(calls.filter(({ path }) => path.endsWith('/refresh')).length).toBe(1);
    expect(auth.session()?.refreshToken).toBe('r2');
  });

  it('ends when the refresh token is refused, but not when the server is only away', async () => {
    const auth = TestBed.inject(Auth);
    await login(auth);
    answer = () => Response.json({ errcode: 'M_UNKNOWN' }, { status: 503 });
    await expectAsync(auth.renew('a1')).toBeRejectedWithError(ApiError);
    expect(auth.loggedIn()).toBeTrue();
    answer = () => Response.json({ errcode: 'M_UNKNOWN_TOKEN' }, { status: 401 });
    expect(await auth.renew('a1')).toBeUndefined();
    expect(auth.loggedIn()).toBeFalse();
  });

  it('of a guest stays in this tab', () => {
    const auth = TestBed.inject(Auth);
    auth.enterAsGuest({ userId: '@guest:luebeck.example', deviceId: 'D', accessToken: 'g' });
    expect(auth.guest()).toBeTrue();
    expect(localStorage.getItem('hansetag-session')).toBeNull();
  });

  it('is gone after the log-out, also when the server does not answer', async () => {
    const auth = TestBed.inject(Auth);
    await login(auth);
    answer = () => {
      throw new TypeError('Failed to fetch');
    };
    await auth.logout();
    expect(auth.loggedIn()).toBeFalse();
    expect(localStorage.getItem('hansetag-session')).toBeNull();
  });

  it('that ended is told from one that was logged out', async () => {
    const auth = TestBed.inject(Auth);
    await login(auth);
    answer = () => Response.json({ errcode: 'M_UNKNOWN_TOKEN' }, { status: 401 });
    await auth.check();
    expect(auth.ended()).toEqual({ guest: false });
    await login(auth);
    expect(auth.ended()).toBeUndefined();
    await auth.logout();
    expect(auth.ended()).toBeUndefined();
  });

  it('of a guest that is over does not become the log-in of somebody else in this browser', async () => {
    await login(TestBed.inject(Auth));
    TestBed.resetTestingModule();
    const auth = TestBed.inject(Auth);
    auth.enterAsGuest({ userId: '@guest:luebeck.example', deviceId: 'D', accessToken: 'g' });
    answer = () => Response.json({ errcode: 'M_UNKNOWN_TOKEN' }, { status: 401 });
    await Promise.all([auth.renew('g'), auth.renew('g')]);
    expect(await auth.renew('g')).toBeUndefined();
    expect(auth.loggedIn()).toBeFalse();
    expect(auth.ended()).toEqual({ guest: true });
    expect(localStorage.getItem('hansetag-session')).toContain('a1');
  });

  it('does not pass to somebody who logged in in another tab', async () => {
    const auth = TestBed.inject(Auth);
    await login(auth);
    const other = { userId: '@clara:luebeck.example', deviceId: 'E', accessToken: 'c1', guest: false };
    localStorage.setItem('hansetag-session', JSON.stringify(other));
    expect(await auth.renew('a1')).toBeUndefined();
    expect(auth.loggedIn()).toBeFalse();
    expect(localStorage.getItem('hansetag-session')).toContain('c1');
  });

  it('is not believed when something else stands in the storage', () => {
    localStorage.setItem('hansetag-session', '{"userId":7}');
    expect(TestBed.inject(Auth).loggedIn()).toBeFalse();
  });
});

describe('A failed request in words', () => {
  it('names the organisation that failed and the code for the help desk, never the server’s own text', () => {
    const text = errorText(
      new ApiError(502, 'M_UNKNOWN', '<b>stack</b>', { organisation: 'hamburg.example', reference: 'ab12' }),
    );
    expect(text).toContain('The server of \u2068hamburg.example\u2069 could not be reached');
    expect(text).toContain('ab12');
    expect(text).not.toContain('stack');
  });

  it('says what to do', () => {
    expect(errorText(new ApiError(0, 'HT_UNREACHABLE', ''))).toContain('Check your connection');
    expect(errorText(new ApiError(403, 'M_FORBIDDEN', ''))).toContain('Ask the person who leads');
    expect(errorText(new Error('bug'))).toContain('Reload');
  });

  it('names an organisation as it calls itself, where that is known', () => {
    const organisation = 'hamburg.localhost:9548';
    const nameOf = (): string => 'Hamburg';
    expect(errorText(new ApiError(502, 'M_UNKNOWN', '', { organisation }), nameOf)).toContain('of Hamburg could');
    const told = new ApiError(502, 'M_UNKNOWN', '', { organisation, organisationName: 'Hansestadt' });
    expect(errorText(told)).toContain('Hansestadt');
  });

  it('blames nobody for too many requests, and says how long to wait', () => {
    const text = errorText(new ApiError(429, 'M_LIMIT_EXCEEDED', '', { retryAfterMs: 45_000 }));
    expect(text).toContain('Try again in 45 s');
    expect(text).not.toContain('too fast');
  });
});

describe('A request that the server puts off', () => {
  it('is sent again when the server says so, and the page says that it waits', async () => {
    const answers = [
      Response.json({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 40 }, { status: 429 }),
      new Response('busy', { status: 429, headers: { 'Retry-After': '0' } }),
      Response.json({ fine: true }),
    ];
    let waited = 0;
    spyOn(globalThis, 'fetch').and.callFake(() => {
      waited += postponed().length;
      return Promise.resolve(answers.shift() ?? Response.error());
    });
    const asked = requestJson(z.object({ fine: z.boolean() }), '/one');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(postponed().length).toBe(1);
    expect(await asked).toEqual({ fine: true });
    expect(postponed()).toEqual([]);
    expect(waited).toBe(0);
  });

  it('for longer than anybody waits is told at once', async () => {
    const fetched = spyOn(globalThis, 'fetch').and.resolveTo(
      new Response('{}', { status: 429, headers: { 'Retry-After': '300' } }),
    );
    await expectAsync(requestJson(z.unknown(), '/one')).toBeRejectedWith(
      jasmine.objectContaining({ status: 429, retryAfterMs: 300_000 }),
    );
    expect(fetched).toHaveBeenCalledTimes(1);
  });
});
