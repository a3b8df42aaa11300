/** Whoever is not the identity provider logs nobody out, and costs little. */
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { CLIENT_SECRET } from '../accounts/identity-provider.ts';
import { startHome } from '../accounts/support.ts';
import type { TestHome } from '../accounts/support.ts';

const V3 = '/_matrix/client/v3';
const BACK_CHANNEL = '/_hansetag/client/v1/login/backchannel-logout';
const ANNA = { sub: 'anna', preferred_username: 'anna', name: 'Anna' };
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

describe('B01: hostile logout tokens', () => {
  let home: TestHome;
  let accessToken: string;
  beforeEach(async () => {
    home = await startHome();
    const body = { type: 'm.login.token', token: await home.loginToken(ANNA) };
    accessToken = String((await home.request('POST', `${V3}/login`, { body })).json['access_token']);
  });
  afterEach(() => home.close());

  async function post(body: URLSearchParams | string, type?: string): Promise<number> {
    const response = await fetch(home.url + BACK_CHANNEL, {
      method: 'POST',
      body,
      ...(type === undefined ? {} : { headers: { 'content-type': type } }),
    });
    expect(response.headers.get('cache-control')).toBe('no-store');
    await response.arrayBuffer();
    return response.status;
  }
  const send = (logout_token: string): Promise<number> => post(new URLSearchParams({ logout_token }));
  async function staysIn(): Promise<void> {
    const { status } = await home.request('GET', `${V3}/account/whoami`, { token: accessToken });
    expect(status).toBe(200);
  }

  it('are refused when a claim is missing, wrong, too old, of another issuer or for another client', async () => {
    const now = Math.floor(Date.now() / 1000);
    const wrong: Record<string, unknown>[] = [
      { iss: 'https://evil.example' },
      { iss: undefined },
      { aud: 'another-client' },
      { aud: undefined },
      { iat: now - 3_600 },
      { iat: now + 3_600 },
      { iat: undefined },
      { exp: now - 120 },
      { exp: undefined },
      { jti: undefined },
      { jti: 'x'.repeat(1_000) },
      { events: undefined },
      { events: {} },
      { events: { [EVENT]: true } },
      { events: { 'http://schemas.openid.net/event/other': {} } },
      { nonce: 'n' },
      { sub: undefined },
      { sub: ['anna'] },
      { sub: '' },
    ];
    for (const claims of wrong.slice(0, 15)) {
      const status = await send(await home.provider.logoutToken({ sub: ANNA.sub, ...claims }));
      expect(status).withContext(JSON.stringify(claims)).toBe(400);
    }
    await staysIn();
    const last = await startHome();
    for (const claims of wrong.slice(15)) {
      const token = await last.provider.logoutToken({ sub: ANNA.sub, ...claims });
      const body = new URLSearchParams({ logout_token: token });
      const { status } = await fetch(last.url + BACK_CHANNEL, { method: 'POST', body });
      expect(status).withContext(JSON.stringify(claims)).toBe(400);
    }
    await last.close();
  });

  it('are refused when they are signed by another key, by nobody, or with the secret of the client', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    expect(await send(await home.provider.logoutToken({ sub: ANNA.sub }, {}, privateKey))).toBe(400);
    expect(await send(await home.provider.logoutToken({ sub: ANNA.sub }, { kid: 'unknown' }))).toBe(400);
    expect(await send(await home.provider.logoutToken({ sub: ANNA.sub }, { typ: 'at+jwt' }))).toBe(400);
    const [, payload = ''] = (await home.provider.logoutToken({ sub: ANNA.sub })).split('.');
    const encoded = (header: object): string => Buffer.from(JSON.stringify(header)).toString('base64url');
    expect(await send(`${encoded({ alg: 'none' })}.${payload}.`)).toBe(400);
    const unsigned = `${encoded({ alg: 'HS256' })}.${payload}`;
    const signature = createHmac('sha256', CLIENT_SECRET).update(unsigned).digest('base64url');
    expect(await send(`${unsigned}.${signature}`)).toBe(400);
    await staysIn();
  });

  it('are good once', async () => {
    const token = await home.provider.logoutToken({ sub: 'nobody' });
    expect(await send(token)).toBe(200);
    expect(await send(token)).toBe(400);
  });

  it('are refused malformed, oversized, twice, compressed or in another form', async () => {
    for (const token of ['', '.', '..', 'a.b.c', 'eyJ'.repeat(3_000), '\0', 'ä.ö.ü']) {
      expect(await send(token))
        .withContext(token.slice(0, 20))
        .toBe(400);
    }
    expect(await post(new URLSearchParams({ logout_token: 'x'.repeat(200_000) }))).toBe(413);
    expect(await post('logout_token=a&logout_token=b', 'application/x-www-form-urlencoded')).toBe(400);
    expect(await post('{"logout_token":"a"}', 'application/json')).toBe(400);
    expect(await post('', 'application/x-www-form-urlencoded')).toBe(400);
    await staysIn();
  });

  it('are not looked at any more from an address that has sent many, while everybody else goes on', async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 40; count += 1) statuses.push(await send('a.b.c'));
    expect(statuses.at(0)).toBe(400);
    expect(statuses.at(-1)).toBe(429);
    await staysIn();
  });
});
