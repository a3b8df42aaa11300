import { MatrixError } from '../../homeserver/base/errors.ts';
import { Browser } from './identity-provider.ts';
import { SERVER_NAME, startHome } from './support.ts';
import type { TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';
const USER = `@anna:${SERVER_NAME}`;
const RESET = '?action=org.matrix.cross_signing_reset';

describe('The page of an account', () => {
  let home: TestHome;
  let page: string;
  beforeAll(async () => {
    home = await startHome({ passwords: { login: true, registration: true } });
    page = `${home.url}/oauth2/account`;
    const body = {
      username: 'anna',
      password: 'superuser',
      initial_device_display_name: '<b>Phone</b>',
      auth: { type: 'm.login.dummy' },
    };
    await home.request('POST', `${V3}/register`, { body });
  });
  afterAll(() => home.close());

  /** Logs in on the page and answers it. */
  async function enter(browser: Browser, query = ''): Promise<string> {
    const asked = await browser.get(page + query);
    expect(await asked.response.text()).toContain('type="password"');
    const { response } = await browser.post(asked.url, { user: 'anna', password: 'superuser' });
    expect(response.status).toBe(303);
    const location = response.headers.get('location') ?? '';
    expect(location).toBe(page + query);
    return (await browser.get(location)).response.text();
  }
  const tokenOf = (text: string): string => /name="token" value="([^"]+)"/.exec(text)?.[1] ?? '';

  it('is named to clients', async () => {
    const { json } = await home.request('GET', '/_matrix/client/v1/auth_metadata');
    expect(json['account_management_uri']).toBe(page);
    expect(json['account_management_actions_supported']).toContain('org.matrix.device_delete');
  });

  it('shows devices and logs them out', async () => {
    const { deviceId, accessToken } = await home.sessions.create(USER, { displayName: 'Old laptop' });
    const browser = new Browser();
    const text = await enter(browser);
    expect(text).toContain('Old laptop');
    expect(text).toContain('&lt;b&gt;Phone&lt;/b&gt;');
    const forged = await browser.post(page, { do: 'end', device: deviceId, token: 'guess' });
    expect(forged.response.status).toBe(403);
    const { response } = await browser.post(page, { do: 'end', device: deviceId, token: tokenOf(text) });
    expect(response.status).toBe(303);
    expect((await home.request('GET', `${V3}/account/whoami`, { token: accessToken })).status).toBe(401);
    await browser.post(page, { do: 'leave', token: tokenOf(text) });
    expect(await (await browser.get(page)).response.text()).toContain('type="password"');
  });

  it('lets nobody in with a wrong password, and comes from the identity provider with what it was asked for', async () => {
    const browser = new Browser();
    const { response } = await browser.post(page, { user: 'anna', password: 'wrong' });
    expect(response.status).toBe(403);
    home.provider.person = { sub: '1', preferred_username: 'olga' };
    const done = await browser.follow(`${page}${RESET}&organisation=1`);
    expect(done.url.search).toBe(RESET);
    expect(await done.response.text()).toContain(`@olga:${SERVER_NAME}`);
  });

  it('allows new keys for an account once, for ten minutes', async () => {
    const operation = 'POST /keys/device_signing/upload';
    const confirm = async (auth?: Record<string, unknown>): Promise<MatrixError | undefined> => {
      try {
        await home.uia.confirm(USER, { operation, body: { auth }, address: '127.0.0.1' });
        return undefined;
      } catch (error) {
        if (error instanceof MatrixError) return error;
        throw error;
      }
    };
    const asked = await confirm();
    expect(asked?.extra['flows']).toContain({ stages: ['m.oauth'] });
    expect(asked?.extra['params']).toEqual(jasmine.objectContaining({ 'm.oauth': { url: page + RESET } }));
    const auth = { session: asked?.extra['session'] };
    expect((await confirm(auth))?.status).toBe(401);
    const allow = async (): Promise<void> => {
      const browser = new Browser();
      const text = await enter(browser, RESET);
      await browser.post(page + RESET, { do: 'reset', token: tokenOf(text) });
    };
    await allow();
    expect(await confirm(auth)).toBeUndefined();
    expect((await confirm({}))?.status).toBe(401);
    await allow();
    home.clock.advance(10 * 60_000);
    expect((await confirm({}))?.status).toBe(401);
  });
});
