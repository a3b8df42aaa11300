import { Browser, startProvider } from './identity-provider.ts';
import type { Person } from './identity-provider.ts';
import { SERVER_NAME, ssoUrl, startHome } from './support.ts';
import type { TestHome } from './support.ts';

const ANNA: Person = { sub: 'person-1', preferred_username: 'Anna', name: 'Anna Müller' };
const LOGIN = '/_matrix/client/v3/login';
const CALLBACK = '/_hansetag/client/v1/login/callback';
const isCallback = (url: URL): boolean => url.pathname === CALLBACK;

describe('Login: by the identity provider', () => {
  let home: TestHome;
  beforeAll(async () => {
    home = await startHome();
  });
  afterAll(() => home.close());

  it('offers the browser log-in and that of services, and nothing with passwords', async () => {
    expect((await home.request('GET', LOGIN)).json).toEqual({
      flows: [
        { type: 'm.login.sso' },
        { type: 'm.login.token', get_login_token: true },
        { type: 'org.hansetag.login.service' },
      ],
    });
    const answer = await home.request('POST', LOGIN, { body: { type: 'm.login.password', user: 'a', password: 'b' } });
    expect(answer.status).toBe(400);
    expect(answer.json['errcode']).toBe('M_UNKNOWN');
  });

  it('brings a person back to the client with a token that makes a session', async () => {
    home.provider.person = ANNA;
    const browser = new Browser();
    const { next } = await browser.follow(ssoUrl(home, `${home.url}/de/login?then=/x`), (url) => {
      return url.searchParams.has('loginToken');
    });
    expect(next?.pathname).toBe('/de/login');
    expect(next?.searchParams.get('then')).toBe('/x');
    const token = next?.searchParams.get('loginToken');
    const { response } = await browser.send(home.url + LOGIN, { type: 'm.login.token', token });
    expect(response.status).toBe(200);
    const json = (await response.json()) as Record<string, unknown>;
    expect(json['user_id']).toBe(`@anna:${SERVER_NAME}`);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const whoami = await home.request('GET', '/_matrix/client/v3/account/whoami', {
      token: String(json['access_token']),
    });
    expect(whoami.json).toEqual({
      user_id: `@anna:${SERVER_NAME}`,
      device_id: json['device_id'],
      is_guest: false,
    });
    expect(await home.accounts.displayName(`@anna:${SERVER_NAME}`)).toBe('Anna Müller');
  });

  it('asks the identity provider for the language of the client, and of no foreign page', async () => {
    for (const [target, language] of [
      [`${home.url}/de/login`, 'de'],
      [`${home.url}/en/login?then=/de/`, 'en'],
      [`${home.url}/login`, null],
      ['https://elsewhere.example/de/login', null],
    ] as const) {
      const response = await fetch(ssoUrl(home, target), { redirect: 'manual' });
      const location = new URL(response.headers.get('location') ?? '');
      expect(location.searchParams.get('ui_locales')).withContext(target).toBe(language);
    }
  });

  it('knows a person again whose name at the identity provider has changed', async () => {
    const first = await home.loginToken({
      sub: 'person-2',
      preferred_username: 'clara.schmidt',
      name: 'Clara Schmidt',
    });
    const second = await home.loginToken({ sub: 'person-2', preferred_username: 'clara.weber', name: 'Clara Weber' });
    for (const token of [first, second]) {
      const answer = await home.request('POST', LOGIN, { body: { type: 'm.login.token', token } });
      expect(answer.json['user_id']).toBe(`@clara.schmidt:${SERVER_NAME}`);
    }
  });

  it('does not give the account to another person who has got the name', async () => {
    await home.loginToken({ sub: 'person-3', preferred_username: 'dora' });
    const token = await home.loginToken({ sub: 'person-4', preferred_username: 'dora' });
    const answer = await home.request('POST', LOGIN, { body: { type: 'm.login.token', token } });
    expect(answer.json['user_id']).toMatch(/^@dora-[a-z2-7]{5}:hamburg\.example$/);
  });

  it('takes a login token only once', async () => {
    const token = await home.loginToken(ANNA);
    const body = { type: 'm.login.token', token };
    expect((await home.request('POST', LOGIN, { body })).status).toBe(200);
    const replayed = await home.request('POST', LOGIN, { body });
    expect(replayed.status).toBe(403);
    expect(replayed.json['errcode']).toBe('M_FORBIDDEN');
  });

  it('takes a login token for two minutes only', async () => {
    const token = await home.loginToken(ANNA);
    home.clock.advance(2 * 60 * 1000 + 1);
    expect((await home.request('POST', LOGIN, { body: { type: 'm.login.token', token } })).status).toBe(403);
  });

  it('refuses an answer of the identity provider in a browser that has not begun the log-in', async () => {
    home.provider.person = ANNA;
    const attacker = new Browser();
    const { next } = await attacker.follow(ssoUrl(home, `${home.url}/login`), isCallback);
    if (!next) throw new Error('no callback');
    const victim = await new Browser().get(next);
    expect(victim.response.status).toBe(400);
    expect(victim.response.headers.get('location')).toBeNull();
    expect(await victim.response.text()).not.toContain('loginToken');

    // The attempt has not spoilt the log-in for the browser that it belongs to.
    expect((await attacker.get(next)).response.headers.get('location')).toContain('loginToken=');
  });

  it('refuses an answer of the identity provider with the cookie of another log-in', async () => {
    home.provider.person = ANNA;
    const { next } = await new Browser().follow(ssoUrl(home, `${home.url}/login`), isCallback);
    const state = next?.searchParams.get('state') ?? '';
    const name = `hansetag_login_${state.slice(0, 12)}`;
    const response = await fetch(next ?? '', { redirect: 'manual', headers: { cookie: `${name}=${'A'.repeat(43)}` } });
    expect(response.status).toBe(400);
  });

  it('refuses an answer that comes a second time, with an invented state, or too late', async () => {
    home.provider.person = ANNA;
    const browser = new Browser();
    const { next } = await browser.follow(ssoUrl(home, `${home.url}/login`), isCallback);
    if (!next) throw new Error('no callback');
    expect((await browser.get(next)).response.status).toBe(302);
    expect((await browser.get(next)).response.status).toBe(400);
    expect((await browser.get(`${home.url}${CALLBACK}?code=x&state=invented`)).response.status).toBe(400);
    expect((await browser.get(`${home.url}${CALLBACK}`)).response.status).toBe(400);

    const late = await browser.follow(ssoUrl(home, `${home.url}/login`), isCallback);
    home.clock.advance(10 * 60 * 1000 + 1);
    expect((await browser.get(late.next ?? '')).response.status).toBe(400);
  });

  it('refuses a code that belongs to another log-in', async () => {
    home.provider.person = ANNA;
    const browser = new Browser();
    const other = await new Browser().follow(ssoUrl(home, `${home.url}/login`), isCallback);
    const own = await browser.follow(ssoUrl(home, `${home.url}/login`), isCallback);
    const mixed = new URL(own.next ?? '');
    mixed.searchParams.set('code', other.next?.searchParams.get('code') ?? '');
    const { response } = await browser.get(mixed);
    expect(response.status).toBe(502);
    expect(response.headers.get('location')).toBeNull();
  });

  it('reads no more of the identity provider than an answer needs', async () => {
    home.provider.person = { ...ANNA, name: 'x'.repeat(1024 * 1024) };
    const browser = new Browser();
    const { next } = await browser.follow(ssoUrl(home, `${home.url}/login`), isCallback);
    expect((await browser.get(next ?? '')).response.status).toBe(502);
    // The next one is not held up by it.
    expect(await home.loginToken(ANNA)).toBeTruthy();
  });

  it('says so when the identity provider lets nobody in', async () => {
    home.provider.person = undefined;
    const { response } = await new Browser().follow(ssoUrl(home, `${home.url}/login`));
    expect(response.status).toBe(403);
    expect(await response.text()).toContain('abgelehnt');
  });

  it('keeps the cookie of a log-in from scripts and from other sites', async () => {
    const { response } = await new Browser().get(ssoUrl(home, `${home.url}/login`));
    const [line = ''] = response.headers.getSetCookie();
    expect(line).toContain('HttpOnly');
    expect(line).toContain('SameSite=Lax');
    expect(line).toContain(`Path=${CALLBACK}`);
  });

  it('names a foreign origin and asks before the token goes there', async () => {
    home.provider.person = ANNA;
    for (const target of [
      'https://evil.example/<script>',
      `${home.url.replace('127.0.0.1', '127.0.0.1.evil.example')}/`,
    ]) {
      const { response } = await new Browser().follow(ssoUrl(home, target));
      expect(response.status).toBe(200);
      const page = await response.text();
      expect(page).toContain(`<strong>${new URL(target).origin}</strong>`);
      expect(page).not.toContain('<script>');
      expect(response.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
      expect(response.headers.get('referrer-policy')).toBe('no-referrer');
    }
  });

  it('refuses a redirect that is no page and no app', async () => {
    const targets = ['javascript:alert(1)', 'data:text/html,x', 'JAVASCRIPT:alert(1)', '//evil.example', '/login', 'x'];
    for (const target of targets) {
      const answer = await home.request('GET', `${LOGIN}/sso/redirect?redirectUrl=${encodeURIComponent(target)}`);
      expect(answer.status).withContext(target).toBe(400);
      expect(answer.json['errcode']).toBe('M_INVALID_PARAM');
    }
    expect((await home.request('GET', `${LOGIN}/sso/redirect`)).json['errcode']).toBe('M_MISSING_PARAM');
  });

  it('never logs tokens, codes, states or cookies', async () => {
    home.provider.person = ANNA;
    const browser = new Browser();
    const { next } = await browser.follow(ssoUrl(home, `${home.url}/login`), isCallback);
    const { response } = await browser.get(next ?? '');
    const back = new URL(response.headers.get('location') ?? '');
    const token = back.searchParams.get('loginToken') ?? '';
    const { response: answer } = await browser.send(home.url + LOGIN, {
      type: 'm.login.token',
      token,
      refresh_token: true,
    });
    const json = (await answer.json()) as Record<string, unknown>;
    const accessToken = String(json['access_token']);
    await home.request('GET', '/_matrix/client/v3/account/whoami', { token: accessToken });
    await home.request('GET', '/_hansetag/client/v1/links/secretlinktoken');
    const log = home.logged.join('\n');
    expect(log).toContain('/_matrix/client/v3/account/whoami');
    expect(log).toContain('/_hansetag/client/v1/links/-');
    const secrets = [
      token,
      accessToken,
      String(json['refresh_token']),
      next?.searchParams.get('code') ?? '-',
      next?.searchParams.get('state') ?? '-',
      'secretlinktoken',
      'hansetag_login_',
      'hansetag_token_',
    ];
    for (const secret of secrets) expect(log.includes(secret)).withContext(secret).toBeFalse();
  });
});

describe('Login: while the identity provider is away', () => {
  it('says so, and works when it is back', async () => {
    const home = await startHome();
    const url = ssoUrl(home, `${home.url}/login`);
    await home.provider.close();
    const { response } = await new Browser().get(url);
    expect(response.status).toBe(502);
    expect(await response.text()).toContain('antwortet gerade nicht');

    const provider = await startProvider(home.url + CALLBACK, Number(new URL(home.provider.issuer).port));
    provider.person = ANNA;
    const { next } = await new Browser().follow(url, (at) => at.searchParams.has('loginToken'));
    expect(next?.origin).toBe(home.url);
    await provider.close();
    await home.close();
  });
});
