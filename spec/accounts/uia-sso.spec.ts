import { decodeJwt } from 'jose';
import { Browser } from './identity-provider.ts';
import type { Person } from './identity-provider.ts';
import { startHome } from './support.ts';
import type { Answer, TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';
const ANNA: Person = { sub: '1', preferred_username: 'anna' };
const BERT: Person = { sub: '2', preferred_username: 'bert' };
const CARL: Person = { sub: '4', preferred_username: 'carl' };
const CARL2: Person = { sub: '5', preferred_username: 'carl.the.second' };

describe('Confirming something grave at the identity provider', () => {
  let home: TestHome;
  beforeAll(async () => {
    home = await startHome();
  });
  afterAll(() => home.close());

  async function logIn(person: Person): Promise<string> {
    const token = await home.loginToken(person);
    const { json } = await home.request('POST', `${V3}/login`, { body: { type: 'm.login.token', token } });
    return String(json['access_token']);
  }
  const end = (token: string, auth?: Record<string, unknown>): Promise<Answer> =>
    home.request('POST', `${V3}/account/deactivate`, { token, body: { auth } });
  const fallback = (session: unknown): string =>
    `${home.url}${V3}/auth/m.login.sso/fallback/web?session=${String(session)}`;

  /** Opens the page and finds the address that proceeds. */
  async function proceeding(session: unknown, browser: Browser): Promise<URL> {
    const page = await (await browser.get(fallback(session))).response.text();
    const [, link] = /href="([^"]*confirm=[^"]*)"/.exec(page) ?? [];
    return new URL((link ?? '').replaceAll('&amp;', '&'), fallback(session));
  }

  /** Opens the page, proceeds and logs in as somebody. */
  async function confirm(session: unknown, person: Person, browser = new Browser()): Promise<Response> {
    home.provider.person = person;
    return (await browser.follow(await proceeding(session, browser))).response;
  }

  it('asks for a log-in in a browser, and goes on when the same person has logged in', async () => {
    const token = await logIn(ANNA);
    const asked = await end(token);
    expect(asked.json['flows']).toEqual([{ stages: ['m.login.sso'] }]);
    const session = asked.json['session'];
    expect((await end(token, { session })).status).toBe(401);
    const page = await confirm(session, ANNA);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("postMessage('authDone'");
    expect(page.headers.get('content-security-policy')).toContain("script-src 'sha256-");
    expect((await end(token, { session })).status).toBe(200);
    expect(home.left).toContain('@anna:hamburg.example');
  });

  it('does not take another person for the one that it is about', async () => {
    const token = await logIn(BERT);
    const { session } = (await end(token)).json;
    expect((await confirm(session, { sub: '3', preferred_username: 'mallory' })).status).toBe(403);
    expect((await end(token, { session })).status).toBe(401);
    expect(await home.accounts.find('@mallory:hamburg.example')).toBeUndefined();
  });

  it('does not take an earlier log-in, though what demands a new one was taken out of the address', async () => {
    const token = await logIn(CARL);
    const confirmedWith = async (provenAgo: number): Promise<{ page: number; asked: number }> => {
      const { session } = (await end(token)).json;
      const browser = new Browser();
      Object.assign(home.provider, { person: CARL, provenAgo });
      const atProvider = (url: URL): boolean => url.origin === home.provider.issuer;
      const { next } = await browser.follow(await proceeding(session, browser), atProvider);
      expect(next?.searchParams.get('prompt')).toBe('login');
      expect(next?.searchParams.get('max_age')).toBe('0');
      next?.searchParams.delete('prompt');
      next?.searchParams.delete('max_age');
      const { response } = await browser.follow(next ?? '');
      home.provider.provenAgo = 0;
      return { page: response.status, asked: (await end(token, { session })).status };
    };
    expect(await confirmedWith(60)).toEqual({ page: 403, asked: 401 });
    // The same way with a log-in of this moment is taken.
    expect(await confirmedWith(0)).toEqual({ page: 200, asked: 200 });
  });

  it('takes no log-in of which the provider does not say when it was, or says what cannot be', async () => {
    const token = await logIn(CARL2);
    const now = Math.floor(Date.now() / 1000);
    const ask = globalThis.fetch;
    let provenAt: unknown;
    spyOn(globalThis, 'fetch').and.callFake(async (address, options) => {
      const response = await ask(address, options);
      if (address !== `${home.provider.issuer}/token`) return response;
      const tokens = (await response.json()) as Record<string, unknown>;
      const claims = decodeJwt(String(tokens['id_token']));
      const { auth_time: _own, ...others } = claims;
      const changed = provenAt === undefined ? others : { ...others, auth_time: provenAt };
      return Response.json({ ...tokens, id_token: await home.provider.idToken(changed) });
    });
    const confirmedWith = async (said: unknown): Promise<number> => {
      provenAt = said;
      const { session } = (await end(token)).json;
      const page = await confirm(session, CARL2);
      expect((await end(token, { session })).status)
        .withContext(String(said))
        .toBe(page.status === 200 ? 200 : 401);
      return page.status;
    };
    for (const said of [
      undefined,
      null,
      '',
      String(now),
      `${String(now)}0`,
      now + 3_600,
      now * 1_000,
      -now,
      0,
      [now],
    ]) {
      expect(await confirmedWith(said))
        .withContext(JSON.stringify(said) ?? 'absent')
        .toBeGreaterThanOrEqual(400);
    }
    expect(await confirmedWith(Math.floor(Date.now() / 1000))).toBe(200);
  });

  it('says in words what is about to be done, in the language of the browser', async () => {
    const token = await logIn(BERT);
    const page = async (answer: Answer, language: string): Promise<string> => {
      const response = await fetch(fallback(answer.json['session']), { headers: { 'Accept-Language': language } });
      return response.text();
    };
    const closing = await end(token);
    expect(await page(closing, 'en')).toContain('The account is closed for good.');
    expect(await page(closing, 'de')).toContain('Das Konto wird für immer geschlossen.');
    expect(await page(closing, 'en')).not.toContain('/account/deactivate');
    const device = encodeURIComponent('<b>PHONE</b>');
    const ending = await home.request('POST', `${V3}/delete_devices`, { token, body: { devices: ['<b>A</b>', 'B'] } });
    expect(await page(ending, 'en')).toContain('logged out: <bdi>&lt;b&gt;A&lt;/b&gt;</bdi>, <bdi>B</bdi>');
    const one = await home.request('DELETE', `${V3}/devices/${device}`, { token, body: {} });
    expect(await page(one, 'en')).toContain('<bdi>&lt;b&gt;PHONE&lt;/b&gt;</bdi>');
  });

  it('does not begin by an address that a stranger has sent', async () => {
    const token = await logIn(BERT);
    const { session } = (await end(token)).json;
    for (const extra of ['', '&confirm=', '&confirm=guess']) {
      const { response } = await new Browser().get(fallback(session) + extra);
      expect(response.status).toBe(200);
      expect(await response.text()).toContain('für immer geschlossen');
    }
    expect((await new Browser().get(fallback('invented'))).response.status).toBe(404);
  });
});
