import { createClient } from 'matrix-js-sdk';
import type { MatrixClient } from 'matrix-js-sdk';
import { OAuth2 } from 'matrix-js-sdk/lib/oauth/index.js';
import type { Logger } from 'matrix-js-sdk/lib/logger.js';
import { Browser } from './identity-provider.ts';
import { SERVER_NAME, startHome } from './support.ts';
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

  it('logs in by the OAuth 2.0 API, refreshes and gives its tokens back', async () => {
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
    const { response } = await browser.post(form, { user: 'anna', password: 'superuser' });
    const { url: page } = await browser.follow(new URL(response.headers.get('location') ?? '', form));
    const allowed = await browser.post(page, { decision: 'allow' });
    const resumed = new URL(allowed.response.headers.get('location') ?? '', page);
    const { next } = await browser.follow(resumed, (url) => url.href.startsWith(REDIRECT));
    const code = new URLSearchParams(next?.hash.slice(1)).get('code') ?? '';
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
});
