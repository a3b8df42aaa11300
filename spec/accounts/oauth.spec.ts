import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cleanUpOauth } from '../../homeserver/accounts/oauth/store.ts';
import { Browser } from './identity-provider.ts';
import { SERVER_NAME, startHome } from './support.ts';
import type { Answer, TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';
const REDIRECT = 'https://client.example/callback';
const API = 'urn:matrix:client:api:*';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

describe('The OAuth 2.0 API', () => {
  let home: TestHome;
  let clientId: string;
  beforeAll(async () => {
    home = await startHome({ passwords: { login: true, registration: true } });
    const body = { username: 'anna', password: 'superuser', inhibit_login: true, auth: { type: 'm.login.dummy' } };
    await home.request('POST', `${V3}/register`, { body });
    clientId = await registerClient();
  });
  afterAll(() => home.close());

  async function registerClient(more: Record<string, unknown> = {}): Promise<string> {
    const response = await fetch(`${home.url}/oauth2/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'https://client.example' },
      body: JSON.stringify({
        client_name: 'Client <b>of</b> the spec',
        client_uri: 'https://client.example/',
        redirect_uris: [REDIRECT],
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
        token_endpoint_auth_method: 'none',
        application_type: 'web',
        ...more,
      }),
    });
    expect(response.status).toBe(201);
    expect(response.headers.get('access-control-allow-origin')).not.toBeNull();
    const json = (await response.json()) as Record<string, unknown>;
    expect(json['client_secret']).toBeUndefined();
    return String(json['client_id']);
  }

  it('A18: fetches nothing for whoever registers a client', async () => {
    const asked: string[] = [];
    const listener = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end('[]');
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const inside = `https://127.0.0.1:${String((listener.address() as AddressInfo).port)}/`;
    listener.on('connection', () => asked.push('a connection'));
    for (const metadata of [
      { sector_identifier_uri: inside },
      { sector_identifier_uri: inside, subject_type: 'pairwise' },
      { jwks_uri: inside },
      { jwks_uri: inside, token_endpoint_auth_method: 'private_key_jwt' },
      { request_uris: [inside] },
    ]) {
      const response = await fetch(`${home.url}/oauth2/reg`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          client_uri: 'https://client.example/',
          redirect_uris: [REDIRECT],
          token_endpoint_auth_method: 'none',
          ...metadata,
        }),
      });
      // What the provider does not know it leaves out.
      const answer = (await response.json()) as Record<string, unknown>;
      if (response.status === 400) expect(answer['error']).toBe('invalid_client_metadata');
      else for (const name of Object.keys(metadata)) expect(answer[name]).withContext(name).toBeUndefined();
    }
    expect(asked).toEqual([]);
    await new Promise((resolve) => listener.close(resolve));
  });

  const verifier = randomBytes(32).toString('base64url');

  function authUrl(scope: string, more: Record<string, string> = {}): URL {
    const url = new URL(`${home.url}/oauth2/auth`);
    url.search = new URLSearchParams({
      client_id: clientId,
      response_type: 'code',
      response_mode: 'fragment',
      redirect_uri: REDIRECT,
      scope,
      state: 'a state',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...more,
    }).toString();
    return url;
  }
  const isClient = (url: URL): boolean => url.href.startsWith(REDIRECT);

  /** Logs in with the password, and answers the page that asks for consent. */
  async function logIn(browser: Browser, url: URL): Promise<{ page: URL; text: string }> {
    const { url: form, response } = await browser.follow(url, isClient);
    expect(await response.text()).toContain('type="password"');
    const posted = await browser.post(form, { user: 'anna', password: 'superuser' });
    const { url: page, response: consent } = await browser.follow(location(posted));
    return { page, text: await consent.text() };
  }

  /** Where a form has led to. */
  function location({ url, response }: { url: URL; response: Response }): URL {
    return new URL(response.headers.get('location') ?? '', url);
  }

  async function decide(browser: Browser, page: URL, decision: string): Promise<URLSearchParams> {
    const posted = await browser.post(page, { decision });
    const { next } = await browser.follow(location(posted), isClient);
    expect(next?.search).toBe('');
    return new URLSearchParams(next?.hash.slice(1));
  }

  async function token(form: Record<string, string>): Promise<{ status: number; json: Record<string, unknown> }> {
    const response = await fetch(`${home.url}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: clientId, ...form }),
    });
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  }
  const exchange = (code: string, more = {}) =>
    token({ grant_type: 'authorization_code', code, redirect_uri: REDIRECT, code_verifier: verifier, ...more });

  async function session(device: string): Promise<{ access: string; refresh: string }> {
    const browser = new Browser();
    const { page } = await logIn(browser, authUrl(`openid ${API} urn:matrix:client:device:${device}`));
    const { json } = await exchange((await decide(browser, page, 'allow')).get('code') ?? '');
    return { access: String(json['access_token']), refresh: String(json['refresh_token']) };
  }
  const whoami = (access: string): Promise<Answer> => home.request('GET', `${V3}/account/whoami`, { token: access });

  it('tells clients where everything is', async () => {
    const stable = await home.request('GET', '/_matrix/client/v1/auth_metadata');
    const unstable = await home.request('GET', '/_matrix/client/unstable/org.matrix.msc2965/auth_metadata');
    expect(unstable.json).toEqual(stable.json);
    expect(stable.headers.get('access-control-allow-origin')).toBe('*');
    const discovery = await fetch(`${home.url}/oauth2/.well-known/openid-configuration`);
    const own = (await discovery.json()) as Record<string, unknown>;
    for (const [key, value] of Object.entries(stable.json)) {
      if (!Array.isArray(value)) expect(own[key]).withContext(key).toEqual(value);
    }
  });

  it('gives a client a session with the device that it has chosen', async () => {
    const browser = new Browser();
    const { page, text } = await logIn(browser, authUrl(`openid ${API} urn:matrix:client:device:CHOSEN12345`));
    expect(text).toContain('Client &lt;b&gt;of&lt;/b&gt; the spec');
    expect(text).toContain(`@anna:${SERVER_NAME}`);
    expect(text).toContain('CHOSEN12345');
    expect(text).toContain('https://client.example');
    const answer = await decide(browser, page, 'allow');
    expect(answer.get('state')).toBe('a state');
    expect(answer.get('iss')).toBe(`${home.url}/oauth2`);
    const code = answer.get('code') ?? '';
    expect((await exchange(code, { code_verifier: 'x'.repeat(43) })).status).toBe(400);
    const { json } = await exchange(code);
    expect(json).toEqual(
      jasmine.objectContaining({ token_type: 'Bearer', expires_in: 3600, refresh_token: jasmine.any(String) }),
    );
    expect(json['scope']).toBe(`openid ${API} urn:matrix:client:device:CHOSEN12345`);
    const access = String(json['access_token']);
    expect((await whoami(access)).json).toEqual({
      user_id: `@anna:${SERVER_NAME}`,
      device_id: 'CHOSEN12345',
      is_guest: false,
    });
    const device = await home.request('GET', `${V3}/devices/CHOSEN12345`, { token: access });
    expect(device.json['display_name']).toBe('Client <b>of</b> the spec');
    const stored = JSON.stringify(await home.db.query('SELECT * FROM oauth_items'));
    expect(stored).not.toContain(access);
    expect(stored).not.toContain(String(json['refresh_token']));
  });

  it('refreshes, forgives one lost answer, and ends a session whose refresh token is used by two', async () => {
    const { access, refresh } = await session('REFRESHING1');
    home.clock.advance(3601_000);
    const expired = await whoami(access);
    expect(expired.json['errcode']).toBe('M_UNKNOWN_TOKEN');
    expect(expired.json['soft_logout']).toBeTrue();
    const renew = (refreshToken: string) => token({ grant_type: 'refresh_token', refresh_token: refreshToken });
    const first = await renew(refresh);
    expect((await whoami(String(first.json['access_token']))).status).toBe(200);
    const again = await renew(refresh);
    expect(again.status).toBe(200);
    const latest = String(again.json['access_token']);
    home.clock.advance(61_000);
    expect((await whoami(latest)).status).toBe(200);
    const thief = await renew(refresh);
    expect(thief.status).toBe(400);
    expect(thief.json['error']).toBe('invalid_grant');
    expect((await whoami(latest)).status).toBe(401);
  });

  it('ends with the device, by log-out or by giving a token back', async () => {
    const ended: string[] = [];
    const stop = home.sessions.onEnd((_userId, device) => void ended.push(device));
    const one = await session('LOGGINGOUT1');
    expect((await home.request('POST', `${V3}/logout`, { token: one.access })).status).toBe(200);
    expect((await whoami(one.access)).status).toBe(401);
    expect((await token({ grant_type: 'refresh_token', refresh_token: one.refresh })).status).toBe(400);
    const two = await session('GIVINGBACK1');
    const revoked = await fetch(`${home.url}/oauth2/token/revocation`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: clientId, token: two.refresh }),
    });
    expect(revoked.status).toBe(200);
    expect((await whoami(two.access)).status).toBe(401);
    stop();
    expect(ended).toContain('LOGGINGOUT1');
    expect(ended).toContain('GIVINGBACK1');
  });

  it('lets the device of another session go when a client takes it over', async () => {
    const one = await session('TAKENOVER12');
    const two = await session('TAKENOVER12');
    expect((await whoami(one.access)).status).toBe(401);
    expect((await whoami(two.access)).json['device_id']).toBe('TAKENOVER12');
  });

  it('gives nothing without consent, without a device, without PKCE or to an unknown address', async () => {
    const browser = new Browser();
    const { page } = await logIn(browser, authUrl(`${API} urn:matrix:client:device:REFUSED1234`));
    expect((await decide(browser, page, 'deny')).get('error')).toBe('access_denied');
    for (const scope of [
      API,
      'openid',
      'urn:matrix:client:device:ALONE123456',
      `${API} urn:matrix:client:device:ONE urn:matrix:client:device:TWO`,
      `${API} urn:matrix:client:device:a/b`,
    ]) {
      const { next } = await new Browser().follow(authUrl(scope), isClient);
      expect(new URLSearchParams(next?.hash.slice(1)).get('error'))
        .withContext(scope)
        .toBe('invalid_scope');
    }
    const plain = authUrl(API);
    plain.searchParams.delete('code_challenge');
    plain.searchParams.delete('code_challenge_method');
    const { next } = await new Browser().follow(plain, isClient);
    expect(new URLSearchParams(next?.hash.slice(1)).get('error')).toBe('invalid_request');
    const elsewhere = await new Browser().follow(authUrl(API, { redirect_uri: 'https://evil.example/' }));
    expect(elsewhere.response.status).toBe(400);
    const stranger = await new Browser().get(page);
    expect(stranger.response.status).toBe(400);
  });

  it('forgets clients that nobody has allowed anything', async () => {
    await session('KEEPINGCLI1');
    const unused = await registerClient();
    home.clock.advance(31 * 24 * 60 * 60 * 1000);
    await cleanUpOauth(home.db, home.clock.now());
    const clients = JSON.stringify(await home.db.query(`SELECT payload FROM oauth_items WHERE model = 'Client'`));
    expect(clients).toContain(clientId);
    expect(clients).not.toContain(unused);
    expect((await whoami((await session('KEEPINGCLI2')).access)).status).toBe(200);
  });

  it('does not log in with a wrong password', async () => {
    const browser = new Browser();
    const { url } = await browser.follow(authUrl(`${API} urn:matrix:client:device:WRONG123456`));
    const { response } = await browser.post(url, { user: 'anna', password: 'wrong' });
    expect(response.status).toBe(403);
    expect(await response.text()).toContain('role="alert"');
  });

  describe('for whom the identity provider has let in', () => {
    let people = 0;

    /** Logs in there. @returns the page that asks for consent, to which the browser goes on after a while */
    async function enter(browser: Browser, device: string, afterMs = 0): Promise<URL> {
      const sub = `consenting-${String((people += 1))}`;
      home.provider.person = { sub, preferred_username: sub, name: 'Carla Consent' };
      const { url } = await browser.follow(authUrl(`${API} urn:matrix:client:device:${device}`));
      const isBack = ({ pathname }: URL): boolean => /^\/oauth2\/auth\/./.test(pathname);
      const { next } = await browser.follow(new URL('?organisation=1', url), isBack);
      home.clock.advance(afterMs);
      const { url: page, response } = await browser.follow(next ?? '');
      expect(await response.text()).toContain('name="decision"');
      return page;
    }
    const tied = async (device: string): Promise<number> =>
      (await home.db.query('SELECT 1 FROM upstream_sessions WHERE device_id = $1', [device])).length;

    it('B1: ties the device to the session there, also of who consents twice', async () => {
      const browser = new Browser();
      const page = await enter(browser, 'TWICETWICE');
      await Promise.all([browser.post(page, { decision: 'allow' }), browser.post(page, { decision: 'allow' })]);
      const code = (await decide(browser, page, 'allow')).get('code') ?? '';
      expect((await exchange(code)).status).toBe(200);
      expect(await tied('TWICETWICE')).toBe(1);
    });

    it('B1: ties the device to the session there, however long the pages are left open', async () => {
      const browser = new Browser();
      const page = await enter(browser, 'SLOWLYSLOW', 9 * 60_000);
      home.clock.advance(9 * 60_000);
      const code = (await decide(browser, page, 'allow')).get('code') ?? '';
      expect((await exchange(code)).status).toBe(200);
      expect(await tied('SLOWLYSLOW')).toBe(1);
    });
  });

  it('logs in at the identity provider of the organisation', async () => {
    home.provider.person = { sub: '7', preferred_username: 'olga' };
    const browser = new Browser();
    const { url } = await browser.follow(authUrl(`${API} urn:matrix:client:device:UPSTREAM123`));
    const { url: page, response } = await browser.follow(new URL('?organisation=1', url));
    expect(await response.text()).toContain(`@olga:${SERVER_NAME}`);
    const { json } = await exchange((await decide(browser, page, 'allow')).get('code') ?? '');
    expect((await whoami(String(json['access_token']))).json['user_id']).toBe(`@olga:${SERVER_NAME}`);
  });

  it('connects a device that has no browser, by a code that a person types', async () => {
    const response = await fetch(`${home.url}/oauth2/device/auth`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: clientId, scope: `${API} urn:matrix:client:device:TELEVISION1` }),
    });
    const device = (await response.json()) as Record<string, string>;
    const poll = () => token({ grant_type: DEVICE_GRANT, device_code: device['device_code'] ?? '' });
    expect((await poll()).json['error']).toBe('authorization_pending');

    const browser = new Browser();
    const typed = await browser.get(device['verification_uri'] ?? '');
    const xsrf = (text: string): string => /name="xsrf" value="([^"]+)"/.exec(text)?.[1] ?? '';
    const fields = { xsrf: xsrf(await typed.response.text()), user_code: device['user_code'] ?? '' };
    const wrong = await browser.post(typed.url, { ...fields, user_code: 'AAAA-AAAA' });
    const asked = await browser.post(typed.url, {
      xsrf: xsrf(await wrong.response.text()),
      user_code: fields.user_code,
    });
    const confirmation = await asked.response.text();
    expect(confirmation).toContain(fields.user_code);
    const confirmed = await browser.post(typed.url, {
      xsrf: xsrf(confirmation),
      user_code: fields.user_code,
      confirm: 'yes',
    });
    const { page } = await logIn(browser, location(confirmed));
    const allowed = await browser.post(page, { decision: 'allow' });
    const { response: done } = await browser.follow(location(allowed));
    expect(done.status).toBe(200);
    const { json } = await poll();
    expect((await whoami(String(json['access_token']))).json['device_id']).toBe('TELEVISION1');
  });
});
