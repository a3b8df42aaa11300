import { Browser } from './identity-provider.ts';
import type { Person } from './identity-provider.ts';
import { APP_URL, ssoUrl, startHome, tokenIn } from './support.ts';
import type { TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';
const LOGIN = `${V3}/login`;
const ANNA: Person = { sub: 'anna', preferred_username: 'anna', name: 'Anna' };
const MALLORY: Person = { sub: 'mallory', preferred_username: 'mallory', name: 'Mallory' };
const ELSEWHERE = 'https://client.example';

describe('Login: a login token is good where the log-in was begun', () => {
  let home: TestHome;
  beforeEach(async () => {
    home = await startHome();
  });
  afterEach(() => home.close());

  /** Logs in on our own pages. @returns the token that the page gets */
  async function begin(person: Person, browser: Browser): Promise<string> {
    home.provider.person = person;
    const { next } = await browser.follow(ssoUrl(home, `${home.url}/de/login`), (url) =>
      url.searchParams.has('loginToken'),
    );
    return next?.searchParams.get('loginToken') ?? '';
  }
  /** Logs in by a client that is not ours. @returns the token that it gets */
  async function beginAt(redirectUrl: string, person = ANNA): Promise<string> {
    home.provider.person = person;
    const { response } = await new Browser().follow(ssoUrl(home, redirectUrl));
    const page = await response.text();
    expect(page).toContain('<strong>');
    return tokenIn(page);
  }
  const bodyOf = (token: string): object => ({ type: 'm.login.token', token });
  const redeem = async (browser: Browser, token: string): Promise<number> =>
    (await browser.send(home.url + LOGIN, bodyOf(token))).response.status;
  /** Redeems a token with what a client sends that is not ours. */
  async function redeemFrom(origin: string | undefined, token: string): Promise<number> {
    const response = await fetch(home.url + LOGIN, {
      method: 'POST',
      headers: origin === undefined ? {} : { origin },
      body: JSON.stringify(bodyOf(token)),
    });
    return response.status;
  }
  const devices = async (localpart: string): Promise<number> =>
    (await home.sessions.devices(`@${localpart}:hamburg.example`)).length;

  it('lets in the browser that has begun, once, and keeps its cookie from scripts, other sites and other paths', async () => {
    const browser = new Browser();
    home.provider.person = ANNA;
    const { response, next } = await browser.follow(ssoUrl(home, `${home.url}/de/login`), (url) =>
      url.searchParams.has('loginToken'),
    );
    const line = response.headers.getSetCookie().find((cookie) => cookie.startsWith('hansetag_token_'));
    expect(line).toContain('; HttpOnly');
    expect(line).toContain('; SameSite=Lax');
    expect(line).toContain(`; Path=${LOGIN};`);
    expect(line).toContain('Max-Age=120;');
    const token = next?.searchParams.get('loginToken') ?? '';
    expect(line).not.toContain(token);
    const { response: answer } = await browser.send(home.url + LOGIN, bodyOf(token));
    expect(answer.status).toBe(200);
    expect(answer.headers.getSetCookie()[0]).toContain('hansetag_token_');
    expect(await redeem(browser, token)).toBe(403);
  });

  it('is of no use to whoever has stolen it from the address, the history or a log, and to nobody afterwards', async () => {
    for (const steal of [
      (token: string) => redeem(new Browser(), token),
      (token: string) => redeemFrom(undefined, token),
      (token: string) => redeemFrom(ELSEWHERE, token),
      async (token: string) => {
        const thief = new Browser();
        await begin(MALLORY, thief);
        return redeem(thief, token);
      },
    ]) {
      const browser = new Browser();
      const token = await begin(ANNA, browser);
      expect(await steal(token)).toBe(403);
      // It has been seen by somebody else: the person begins again.
      expect(await redeem(browser, token)).toBe(403);
    }
    expect(await devices('anna')).toBe(0);
  });

  it('does not log a person in with the account of somebody who has planted it in their browser', async () => {
    const victim = new Browser();
    await begin(ANNA, victim);
    const attacker = new Browser();
    const planted = [
      await begin(MALLORY, attacker),
      // Tokens for other clients are bound to no cookie: our pages do not take them either.
      await beginAt(APP_URL, MALLORY),
      await beginAt(`${ELSEWHERE}/`, MALLORY),
      await beginAt('http://localhost:4321/', MALLORY),
    ];
    for (const token of planted) expect(await redeem(victim, token)).toBe(403);
    expect(await devices('mallory')).toBe(0);
    spyOn(home.uia, 'confirm').and.resolveTo();
    const { json } = await home.request('POST', LOGIN, { body: bodyOf(await beginAt(APP_URL, MALLORY)) });
    const more = { token: String(json['access_token']), body: {} };
    const other = await home.request('POST', '/_matrix/client/v1/login/get_token', more);
    expect(other.status).toBe(200);
    expect(await redeem(victim, String(other.json['login_token']))).toBe(403);
  });

  it('lets two tabs of a browser log in at the same time', async () => {
    const browser = new Browser();
    const tokens = [await begin(ANNA, browser), await begin(ANNA, browser)];
    for (const token of tokens) expect(await redeem(browser, token)).toBe(200);
  });

  it('ends after two minutes in the browser that has begun, too', async () => {
    const browser = new Browser();
    const token = await begin(ANNA, browser);
    home.clock.advance(2 * 60 * 1000 + 1);
    expect(await redeem(browser, token)).toBe(403);
  });

  it('goes to one of many who come with it at the same time', async () => {
    const browser = new Browser();
    const token = await begin(ANNA, browser);
    const statuses = await Promise.all(Array.from({ length: 8 }, () => redeem(browser, token)));
    expect(statuses.toSorted()).toEqual([200, 403, 403, 403, 403, 403, 403, 403]);
    expect(await devices('anna')).toBe(1);
  });

  it('lets in pages of other origins where the person was sent, and no page elsewhere', async () => {
    expect(await redeemFrom(ELSEWHERE, await beginAt(`${ELSEWHERE}/app/`))).toBe(200);
    for (const origin of ['https://evil.example', 'http://client.example', 'https://client.example:8443', 'null']) {
      expect(await redeemFrom(origin, await beginAt(`${ELSEWHERE}/app/`)))
        .withContext(origin)
        .toBe(403);
    }
    // Not every client is a browser: what has no origin has been to the page that names where it goes.
    expect(await redeemFrom(undefined, await beginAt(`${ELSEWHERE}/app/`))).toBe(200);
  });

  it('lets in apps, which have no origin or any, and those that wait for it on the machine of the person', async () => {
    const apps = [APP_URL, 'http://localhost:4321/', 'http://127.0.0.1:4321/x', 'http://[::1]:4321/'];
    for (const app of apps) {
      for (const origin of [undefined, 'vector://vector', 'null']) {
        expect(await redeemFrom(origin, await beginAt(app)))
          .withContext(`${app} ${String(origin)}`)
          .toBe(200);
      }
    }
  });
});
