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

  it('are good once, however many come at the same time', async () => {
    const token = await home.provider.logoutToken({ sub: ANNA.sub });
    const statuses = await Promise.all(Array.from({ length: 20 }, () => send(token)));
    expect(statuses.filter((status) => status === 200).length).toBe(1);
    expect(statuses.filter((status) => status === 400).length).toBe(19);
    expect((await home.request('GET', `${V3}/account/whoami`, { token: accessToken })).status).toBe(401);
    // Who is in again stays in: it is the same after the first answer as long afterwards.
    const body = { type: 'm.login.token', token: await home.loginToken(ANNA) };
    accessToken = String((await home.request('POST', `${V3}/login`, { body })).json['access_token']);
    expect(await send(token)).toBe(400);
    await staysIn();
  });

  describe('and what is said of the keys', () => {
    let asked: number;
    /** What is answered for the keys, and counts how often. */
    function keys(answer: (options: RequestInit | undefined) => Promise<Response>): void {
      asked = 0;
      const ask = globalThis.fetch;
      spyOn(globalThis, 'fetch').and.callFake((address, options) => {
        if (address !== `${home.provider.issuer}/jwks`) return ask(address, options);
        asked += 1;
        return answer(options);
      });
    }
    const good = (): Promise<string> => home.provider.logoutToken({ sub: ANNA.sub });

    it('cost no more than an answer may have, when they are huge', async () => {
      let read = 0;
      const chunk = new Uint8Array(16 * 1024).fill(32);
      keys(async () => {
        const endless = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            read += chunk.length;
            controller.enqueue(chunk);
          },
        });
        return new Response(endless, { headers: { 'content-type': 'application/json' } });
      });
      // It is not the token's fault: the provider may send it again.
      expect(await send(await good())).toBe(503);
      expect(read).toBeLessThan(512 * 1024);
      await staysIn();
    });

    it('are waited for by all at once and not for ever, when they are slow', async () => {
      keys(
        (options) =>
          new Promise((_resolve, reject) => {
            options?.signal?.addEventListener('abort', () => reject(new Error('aborted')));
          }),
      );
      const sent = await Promise.all(Array.from({ length: 10 }, good));
      const answers = Promise.all(sent.map(send));
      await staysIn();
      expect(new Set(await answers)).toEqual(new Set([503]));
      expect(asked).toBe(1);
    }, 60_000);

    it('are not asked for again and again, when each token names another, or each answer has others', async () => {
      keys(async () => {
        const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
        const jwk = { ...publicKey.export({ format: 'jwk' }), kid: `key ${String(asked)}`, alg: 'ES256', use: 'sig' };
        return Response.json({ keys: [jwk] });
      });
      for (let count = 0; count < 15; count += 1) {
        expect(await send(await home.provider.logoutToken({ sub: ANNA.sub }, { kid: `key ${String(count)}` }))).toBe(
          400,
        );
      }
      expect(asked).toBeLessThanOrEqual(2);
      await staysIn();
    });

    it('are no keys, when they are malformed, symmetric or too many', async () => {
      const secret = Buffer.from(CLIENT_SECRET).toString('base64url');
      const bodies: unknown[] = [
        null,
        [],
        {},
        { keys: 'none' },
        { keys: [null, 1, 'x'] },
        { keys: [{ kty: 'oct', k: secret, kid: 'spec', alg: 'HS256' }] },
        { keys: Array.from({ length: 500 }, () => ({ kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: 'spec' })) },
      ];
      const ask = globalThis.fetch;
      let body: unknown;
      spyOn(globalThis, 'fetch').and.callFake((address, options) =>
        String(address).endsWith('/jwks') ? Promise.resolve(Response.json(body)) : ask(address, options),
      );
      for (body of bodies) {
        // What was answered well once is kept.
        const other = await startHome();
        const logout_token = await other.provider.logoutToken({ sub: ANNA.sub });
        const form = new URLSearchParams({ logout_token });
        const { status } = await fetch(other.url + BACK_CHANNEL, { method: 'POST', body: form });
        expect([400, 503]).withContext(JSON.stringify(body).slice(0, 80)).toContain(status);
        await other.close();
      }
    });
  });

  it('are not looked at any more from an address that has sent many, while everybody else goes on', async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 40; count += 1) statuses.push(await send('a.b.c'));
    expect(statuses.at(0)).toBe(400);
    expect(statuses.at(-1)).toBe(429);
    await staysIn();
  });
});
