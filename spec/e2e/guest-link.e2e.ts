/**
 * A link of Lübeck: Bert makes it in Chromium; a guest comes by one with a password and has to go with it; Anna of Hamburg
 * opens it in Firefox and enters with the account of her own organisation.
 */
import type { Browser, Page } from 'playwright-core';
import { violations } from './axe.ts';
import { launchBrowser, logIn, openPage, passLobby, until } from './browser.ts';
import * as firefox from './firefox.ts';
import type { Firefox } from './firefox.ts';
import { createMeeting, enter, matrixId, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

const LIMIT_MS = 60_000;
const PASSWORD = 'Elbphilharmonie';

describe('Guest link', () => {
  const lacks = firefox.firefoxLacks();
  let pair: Pair;
  let chromium: Browser;
  let fox: Firefox;
  let bert: Page;

  beforeAll(async () => {
    if (lacks !== undefined) return;
    pair = await startPair();
    [chromium, fox] = await Promise.all([launchBrowser(), firefox.launchFirefox()]);
    bert = await logIn(chromium, pair.luebeck.url, 'bert', 'demo');
  });
  afterAll(async () => {
    if (lacks !== undefined) return;
    await Promise.allSettled([chromium.close(), fox.close()]);
    await pair.close();
  });
  beforeEach(() => {
    if (lacks !== undefined) pending(lacks);
  });

  const sees = (userId: string): Promise<number> =>
    until(async () => (await bert.locator(`[data-participant-id^="${userId}"]`).count()) > 0, LIMIT_MS);

  it('lets a guest in by its password, and takes the guest out again; lets a colleague elsewhere enter as account', async () => {
    await createMeeting(bert, 'Guests', []);
    const card = bert.getByTestId('meeting-card').filter({ hasText: 'Guests' });
    await card.getByTestId('invite-people').click();
    await bert.getByTestId('copy-link').click();
    await bert.getByTestId('link-url').waitFor();
    const usual = await bert.getByTestId('link-url').inputValue();
    await bert.getByTestId('link-settings').click();
    await bert.getByTestId('link-purpose').fill('Press');
    await bert.getByTestId('link-most').fill('1');
    await bert.getByTestId('link-password').fill(PASSWORD);
    await bert.getByTestId('link-settings').waitFor({ state: 'detached' });
    expect(await violations(bert))
      .withContext('invite dialog')
      .toEqual([]);
    const answered = bert.waitForResponse(
      (response) => response.url().endsWith('/links') && response.request().method() === 'POST',
    );
    await bert.getByTestId('make-special-link').click();
    const { url: press } = (await (await answered).json()) as { url: string };
    await bert.getByTestId('guest-link').filter({ hasText: 'Press' }).waitFor();
    await bert.keyboard.press('Escape');
    await enter(bert);

    const guest = await openPage(chromium, press);
    await guest.getByTestId('guest-name').fill('Gerda Gast');
    await guest.getByTestId('guest-password').fill('falsch');
    await guest.getByTestId('guest-continue').click();
    await guest.getByTestId('password-problem').waitFor();
    expect(await violations(guest))
      .withContext('guest page')
      .toEqual([]);
    await guest.getByTestId('guest-password').fill(PASSWORD);
    await guest.getByTestId('guest-continue').click();
    await passLobby(guest);
    await sees('@guest-');

    const anna = await firefox.openPage(fox, usual);
    await firefox.press(anna, 'join-with-organisation');
    await firefox.appears(anna, 'organisation-name');
    await anna.locator('[data-testid=organisation-name]').fill(matrixId(pair.hamburg, 'anna'));
    await firefox.press(anna, 'go-to-organisation');
    await firefox.appears(anna, 'login-button');
    expect(new URL(anna.url()).origin).toBe(new URL(pair.hamburg.url).origin);
    await firefox.press(anna, 'login-button');
    await anna.locator('[name=login]').fill('anna');
    await anna.locator('[name=password]').fill('demo');
    await anna.locator('[type=submit]').click();
    await firefox.appears(anna, 'join-from-go');
    await firefox.press(anna, 'join-from-go');
    await firefox.passLobby(anna);
    await sees(matrixId(pair.hamburg, 'anna'));

    const ends = await bert.evaluate(async () => {
      const globals = globalThis as unknown as {
        localStorage: { getItem(name: string): string };
        location: { href: string };
      };
      const { accessToken } = JSON.parse(globals.localStorage.getItem('hansetag-session')) as { accessToken: string };
      const [, roomId = ''] = /meeting\/([^/?#]+)/.exec(globals.location.href) ?? [];
      const headers = { authorization: `Bearer ${accessToken}` };
      const path = `/_hansetag/client/v1/meetings/${roomId}/links`;
      const { links } = (await (await fetch(path, { headers })).json()) as {
        links: { linkId: string; purpose?: string }[];
      };
      const found = links.find(({ purpose }) => purpose === 'Press');
      return (await fetch(`${path}/${found?.linkId ?? ''}?guests=remove`, { method: 'DELETE', headers })).status;
    });
    expect(ends).toBe(200);
    await until(async () => (await bert.locator('[data-participant-id^="@guest-"]').count()) === 0, LIMIT_MS);
    await guest.getByTestId('lobby-join').waitFor({ state: 'detached' });
    const late = await openPage(chromium, press);
    await late.getByRole('alert').waitFor();
    expect(await late.getByRole('alert').textContent()).toContain('Ask the person who invited you');
    expect(await bert.locator(`[data-participant-id^="${matrixId(pair.hamburg, 'anna')}"]`).count()).toBeGreaterThan(0);
  });
});
