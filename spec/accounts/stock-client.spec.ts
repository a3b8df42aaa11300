import { createClient } from 'matrix-js-sdk';
import type { MatrixClient } from 'matrix-js-sdk';
import { OAuth2 } from 'matrix-js-sdk/lib/oauth/index.js';
import type { Logger } from 'matrix-js-sdk/lib/logger.js';
import { Browser } from './identity-provider.ts';
import { CHECK_MS, SERVER_NAME, startHome, tokenIn } from './support.ts';
import type { TestHome } from './support.ts';

const REDIRECT = 'https://client.example/callback';

/** What the client has to say is of no use here. */
const logger: Logger = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  getChild: () => logger,
};

describe('Real Matrix: a stock client', () => {
  let home: TestHome;
  let client: MatrixClient;
  beforeAll(async () => {
    home = await startHome({ passwords: { login: true, registration: true } });
    client = createClient({ logger, baseUrl: home.url });
    const { user_id: userId } = await client.registerRequest({
      username: 'anna',
      password: 'superuser',
      auth: { type: 'm.login.dummy' },
    });
    expect(userId).toBe(`@anna:${SERVER_NAME}`);
  });
  afterAll(() => home.close());

  it('logs in with a password and by a token of another device, and refreshes', async () => {
    const session = await client.loginRequest({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'anna' },
      password: 'superuser',
      refresh_token: true,
    });
    expect(session.user_id).toBe(`@anna:${SERVER_NAME}`);
    const renewed = await client.refreshToken(session.refresh_token ?? '');
    const own = createClient({ logger, baseUrl: home.url, accessToken: renewed.access_token, userId: session.user_id });
    expect((await own.whoami()).device_id).toBe(session.device_id);
    await own.setDisplayName('Anna');
    expect((await own.getProfileInfo(session.user_id)).displayname).toBe('Anna');
    expect((await own.getDevices()).devices.length).toBeGreaterThan(0);
    const { login_token: token } = (await own.requestLoginToken({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'anna' },
      password: 'superuser',
    })) as { login_token: string };
    const other = await client.loginRequest({ type: 'm.login.token', token });
    expect(other.user_id).toBe(session.user_id);
    expect(await own.getCapabilities()).toEqual(jasmine.objectContaining({ 'm.change_password': { enabled: true } }));
  });

  it('logs in by a browser at the identity provider, from its own origin, and from no other', async () => {
    home.provider.person = { sub: 'olga', preferred_username: 'olga', name: 'Olga' };
    const from = (origin: string): MatrixClient =>
      createClient({
        logger,
        baseUrl: home.url,
        fetchFn: (address, options) => fetch(address, { ...options, headers: { ...options?.headers, origin } }),
      });
    const logIn = async (origin: string): Promise<string> => {
      const { response } = await new Browser().follow(client.getSsoLoginUrl('https://client.example/?x=1'));
      const page = await response.text();
      expect(page).toContain('<strong>https://client.example</strong>');
      const { user_id: userId } = await from(origin).loginRequest({ type: 'm.login.token', token: tokenIn(page) });
      return userId;
    };
    expect(await logIn('https://client.example')).toBe(`@olga:${SERVER_NAME}`);
    const refusal = jasmine.objectContaining({ errcode: 'M_FORBIDDEN' });
    await expectAsync(logIn('https://other.example')).toBeRejectedWith(refusal);
  });

  /** Registers the client, lets a person in and gives consent. */
  async function oauthLogIn(
    enter: (browser: Browser, form: URL) => Promise<URL>,
  ): Promise<{ oauth: OAuth2; code: string }> {
    const metadata = await client.getAuthMetadata();
    const about = {
      client_name: 'Stock client',
      client_uri: 'https://client.example/',
      redirect_uris: [REDIRECT] as [string],
      application_type: 'web' as const,
    };
    const clientId = await OAuth2.registerClient(metadata, about, logger);
    const oauth = new OAuth2(metadata, { clientId }, logger);
    const browser = new Browser();
    const { url: form } = await browser.follow(await oauth.generateAuthorizationCodeGrantUrl('state', REDIRECT));
    const page = await enter(browser, form);
    const allowed = await browser.post(page, { decision: 'allow' });
    const resumed = new URL(allowed.response.headers.get('location') ?? '', page);
    const { next } = await browser.follow(resumed, (url) => url.href.startsWith(REDIRECT));
    return { oauth, code: new URLSearchParams(next?.hash.slice(1)).get('code') ?? '' };
  }

  it('logs in by the OAuth 2.0 API, refreshes and gives its tokens back', async () => {
    const { oauth, code } = await oauthLogIn(async (browser, form) => {
      const { response } = await browser.post(form, { user: 'anna', password: 'superuser' });
      const { url } = await browser.follow(new URL(response.headers.get('location') ?? '', form));
      return url;
    });
    const tokens = await oauth.completeAuthorizationCodeGrant(code, REDIRECT);
    const renewed = await oauth.performRefreshTokenGrant(tokens.refresh_token ?? '');
    const own = createClient({ logger, baseUrl: home.url, accessToken: renewed.access_token });
    expect(await own.whoami()).toEqual({
      user_id: `@anna:${SERVER_NAME}`,
      device_id: oauth.context.deviceId,
      is_guest: false,
    });
    await oauth.revokeToken(renewed.access_token, 'access_token');
    await expectAsync(own.whoami()).toBeRejectedWith(jasmine.objectContaining({ errcode: 'M_UNKNOWN_TOKEN' }));
  });

  describe('with the OAuth 2.0 API and the identity provider', () => {
    let people = 0;

    /** Somebody who has logged in there. @returns the tokens that the client gets */
    async function enter(): Promise<{ sub: string; oauth: OAuth2; access: string; refresh: string; sid: string }> {
      const sub = `petra${String((people += 1))}`;
      home.provider.person = { sub, preferred_username: sub, name: 'Petra' };
      const { oauth, code } = await oauthLogIn(async (browser, form) => {
        const { url } = await browser.follow(new URL('?organisation=1', form));
        return url;
      });
      const tokens = await oauth.completeAuthorizationCodeGrant(code, REDIRECT);
      const [row] = await home.db.query<{ sid: string }>('SELECT sid FROM upstream_sessions WHERE device_id = $1', [
        oauth.context.deviceId,
      ]);
      return {
        sub,
        oauth,
        access: tokens.access_token,
        refresh: tokens.refresh_token ?? '',
        sid: row?.sid ?? '',
      };
    }
    async function isOut({ oauth, access, refresh }: Awaited<ReturnType<typeof enter>>): Promise<boolean> {
      const own = createClient({ logger, baseUrl: home.url, accessToken: access });
      try {
        await own.whoami();
        return false;
      } catch (error) {
        expect(error).toEqual(jasmine.objectContaining({ errcode: 'M_UNKNOWN_TOKEN' }));
        // An access token that has only expired would be no log-out.
        expect((error as { data: Record<string, unknown> }).data['soft_logout']).toBeFalse();
      }
      await expectAsync(oauth.performRefreshTokenGrant(refresh)).toBeRejected();
      return true;
    }

    it('is out within one life of an access token when the account is disabled', async () => {
      const [one, other] = [await enter(), await enter()];
      home.provider.disabled.add(one.sub);
      home.clock.advance(CHECK_MS * 0.98);
      await home.upstream.check();
      expect(await isOut(one)).toBeTrue();
      expect(await isOut(other)).toBeFalse();
    });

    it('is out at once by a logout token for its session, and nobody else is', async () => {
      const [one, other] = [await enter(), await enter()];
      expect(one.sid).not.toBe('');
      const iat = Math.floor(home.clock.now() / 1000);
      const logout_token = await home.provider.logoutToken({ sid: one.sid, iat, exp: iat + 60 });
      const body = new URLSearchParams({ logout_token });
      const address = `${home.url}/_hansetag/client/v1/login/backchannel-logout`;
      expect((await fetch(address, { method: 'POST', body })).status).toBe(200);
      expect(await isOut(one)).toBeTrue();
      expect(await isOut(other)).toBeFalse();
    });
  });
});
