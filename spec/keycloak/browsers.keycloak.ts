/** People of two organisations in Chromium and Firefox, who log in by a real Keycloak. */
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, openPage, until } from '../e2e/browser.ts';
import type { AnyPage } from '../e2e/browser.ts';
import * as firefox from '../e2e/firefox.ts';
import type { Firefox } from '../e2e/firefox.ts';
import { accept, createMeeting, enter, seesMoving } from '../e2e/meeting.ts';
import { at, eventually } from '../support/homeservers.ts';
import { PASSWORD } from './realms.ts';
import { ACCESS_TOKEN_S, health, house, START_PATIENCE_MS } from './support.ts';
import type { House } from './support.ts';

const LIMIT_MS = 60_000;
const SEAT_MS = 2_000;

/** Anna of Hamburg, in Firefox where that can take part, else in Chromium. */
interface Anna {
  readonly page: AnyPage;
  accept(): Promise<void>;
  count(selector: string): Promise<number>;
  text(selector: string): Promise<string>;
}

describe('Login: people in browsers by a real Keycloak', () => {
  const lacks = firefox.firefoxLacks();
  let home: House;
  let chromium: Browser;
  let fox: Firefox | undefined;
  let inga: Page;
  let jan: Page;
  let anna: Anna;

  beforeAll(async () => {
    home = await house();
    chromium = await launchBrowser();
    fox = lacks === undefined ? await firefox.launchFirefox() : undefined;
  }, START_PATIENCE_MS);

  afterAll(async () => {
    await Promise.allSettled([chromium.close(), fox?.close()]);
  });

  const idOf = (user: string, server = home.luebeck): string => `@${user}:${server.serverName}`;
  const tile = (user: string): string => `[data-testid=tile][data-source=camera][data-participant-id^="${idOf(user)}"]`;

  /** Goes to the log-in of an organisation and fills in the form of Keycloak. */
  async function logIn(url: string, user: string): Promise<Page> {
    const page = await openPage(chromium, `${url}/en/`);
    await page.getByTestId('login-button').click();
    await fillIn(page, user);
    return page;
  }

  async function fillIn(page: Page, user: string): Promise<void> {
    await page.locator('#username').fill(user);
    await page.locator('#password').fill(PASSWORD);
    await page.locator('#kc-login').click();
    await page.getByTestId('new-meeting').waitFor();
  }

  async function annaInFirefox(browser: Firefox): Promise<Anna> {
    const page = await firefox.openPage(browser, `${home.hamburg.url}/en/`);
    await firefox.press(page, 'login-button');
    await page.locator('#username').fill('anna');
    await page.locator('#password').fill(PASSWORD);
    await page.locator('#kc-login').click();
    await firefox.appears(page, 'new-meeting');
    return {
      page,
      accept: () => firefox.accept(page),
      count: (selector) => firefox.count(page, selector),
      text: (selector) => firefox.text(page, selector),
    };
  }

  async function annaInChromium(): Promise<Anna> {
    const page = await logIn(home.hamburg.url, 'anna');
    return {
      page,
      accept: () => accept(page),
      count: (selector) => page.locator(selector).count(),
      text: async (selector) => (await page.locator(selector).first().textContent()) ?? '',
    };
  }

  it('lets them in by the page of their realm, and who is logged in there already without it', async () => {
    inga = await logIn(home.luebeck.url, 'inga');
    expect(await inga.title()).not.toContain('Sign in');
    // The page forgets who is logged in, as one in another application would not know it: while none of its own runs.
    await inga.goto(`${home.luebeck.url}/_hansetag/health`);
    await inga.evaluate('localStorage.clear(); sessionStorage.clear();');
    const forms: string[] = [];
    inga.on('request', (request) => {
      if (request.url().includes('/login-actions/')) forms.push(request.url());
    });
    await inga.goto(`${home.luebeck.url}/en/`);
    await inga.getByTestId('login-button').click();
    await inga.getByTestId('new-meeting').waitFor();
    expect(forms).toEqual([]);
  });

  it('brings people of two organisations, each with its own realm, into one meeting', async () => {
    anna = fox ? await annaInFirefox(fox) : await annaInChromium();
    jan = await logIn(home.luebeck.url, 'jan');
    await createMeeting(inga, 'Deichschau', [idOf('anna', home.hamburg), idOf('jan')]);
    await enter(inga);
    await anna.accept();
    await accept(jan);
    await Promise.all([
      seesMoving(inga, idOf('anna', home.hamburg), LIMIT_MS),
      seesMoving(anna.page, idOf('inga'), LIMIT_MS),
      seesMoving(anna.page, idOf('jan'), LIMIT_MS),
    ]);
  });

  it('shows a name that was changed at Keycloak, in the meeting and at the other organisation', async () => {
    expect(await anna.text(tile('jan'))).toContain('Jan Jansen');
    await home.realms.change('luebeck', 'jan', { lastName: 'Janßen' });
    const took = await until(async () => (await anna.text(tile('jan'))).includes('Jan Janßen'), LIMIT_MS);
    console.log(`  the name arrived in ${String(took)} ms`);
  });

  it('ends the seat of who is disabled at Keycloak within one life of an access token', async () => {
    await home.realms.change('luebeck', 'jan', { enabled: false });
    const took = await until(async () => (await anna.count(tile('jan'))) === 0, LIMIT_MS);
    console.log(`  the seat ended ${String(took)} ms after the account was disabled`);
    expect(took).toBeLessThan(ACCESS_TOKEN_S * 1_000);
    await jan.getByTestId('new-meeting').waitFor({ state: 'detached' });
    await jan.close();
  });

  it(
    'disturbs nobody in a meeting when Keycloak is killed, which health says, and lets people in when it is back',
    async () => {
      await home.realms.kill();
      await eventually(
        () => health(home.luebeck),
        (said) => at(said, 'identityProvider') === 'down' && at(said, 'status') === 'degraded',
        LIMIT_MS,
      );
      // Longer than until the next check of either session.
      await inga.waitForTimeout(ACCESS_TOKEN_S * 1_000);
      const late = await openPage(chromium, `${home.luebeck.url}/en/`);
      await late.getByTestId('login-button').click();
      await late.getByText('does not answer').waitFor();
      await home.realms.start();
      await late.goto(`${home.luebeck.url}/en/`);
      await late.getByTestId('login-button').click();
      await fillIn(late, 'karla');
      await late.context().close();
      await eventually(
        () => health(home.luebeck),
        (said) => at(said, 'identityProvider') === 'up',
        LIMIT_MS,
      );
      // The sessions of before are still known there, too: this is longer than until the next check.
      await inga.waitForTimeout(ACCESS_TOKEN_S * 1_000);
      await Promise.all([
        seesMoving(inga, idOf('anna', home.hamburg), LIMIT_MS),
        seesMoving(anna.page, idOf('inga'), LIMIT_MS),
      ]);
    },
    START_PATIENCE_MS,
  );

  it('ends the seat within 2 s of a log-out at Keycloak, and the page says what has happened', async () => {
    const session = await home.realms.onlySession('luebeck', 'inga');
    await home.realms.admin('luebeck', 'DELETE', `sessions/${session}`);
    const took = await until(async () => (await anna.count(tile('inga'))) === 0, LIMIT_MS);
    console.log(`  the seat ended ${String(took)} ms after the log-out at Keycloak`);
    expect(took).toBeLessThan(SEAT_MS);
    await inga.getByTestId('mute').waitFor({ state: 'detached' });
    await inga.goto(`${home.luebeck.url}/en/`);
    await inga.getByTestId('login-button').click();
    await fillIn(inga, 'inga');
  });

  it('ends the session at Keycloak as well when somebody logs out on the page', async () => {
    await inga.getByTestId('account-menu').click();
    await inga.getByTestId('logout').click();
    const id = String(at(await home.realms.person('luebeck', 'inga'), 'id'));
    await eventually(
      () => home.realms.admin('luebeck', 'GET', `users/${id}/sessions`),
      (sessions) => (sessions as unknown[]).length === 0,
    );
    // Who is still logged in there sees no form.
    await inga.getByTestId('login-button').click();
    await inga.locator('#kc-login').waitFor();
  });
});
