/** Everybody can use the client: by keyboard alone, with assistive technology, enlarged, on a phone, without motion. */
import type { Browser, Page } from 'playwright-core';
import { beyondEdges, borderOf, focusOf, movingElements, violations } from './axe.ts';
import { launchBrowser, logIn, openPage, passLobby, stats, until } from './browser.ts';
import { createMeeting, enter, matrixId, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

const LANGUAGES = ['en', 'de'] as const;
type Language = (typeof LANGUAGES)[number];
const COLOURS = ['light', 'dark'] as const;
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1440, height: 900 };
/** 1280 px at a zoom of 400 %: WCAG 2.2, 1.4.10. */
const ZOOMED = { width: 320, height: 640 };

/** Text of a page in its language, so that a page in the wrong one is seen. */
const HOME_TITLE = { en: 'Meetings', de: 'Besprechungen' };

describe('Accessibility: the web client', () => {
  let pair: Pair;
  let browser: Browser;
  /** Of Lübeck: leads. */
  let bert: Page;
  /** Of Hamburg: is invited. */
  let anna: Page;
  let link: string;

  beforeAll(async () => {
    pair = await startPair();
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser.close();
    await pair.close();
  });

  /** Opens the same place in another language, as the language menu does. */
  async function speak(page: Page, language: Language): Promise<void> {
    const url = new URL(page.url());
    url.pathname = url.pathname.replace(/^\/(en|de)\//, `/${language}/`);
    await page.goto(url.href);
    expect(await page.locator('html').getAttribute('lang')).toBe(language);
  }

  /** Looks at what the page shows now, on a phone and on a desk, light and dark, and whether it fits in. */
  async function look(page: Page, what: string): Promise<void> {
    for (const size of [DESK, PHONE]) {
      await page.setViewportSize(size);
      for (const colorScheme of COLOURS) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        const context = `${what}, ${colorScheme}, ${String(size.width)} px`;
        expect(await violations(page))
          .withContext(context)
          .toEqual([]);
      }
      await fits(page, what);
    }
    await page.setViewportSize(ZOOMED);
    await fits(page, what);
    await page.setViewportSize(DESK);
  }

  /** In both at once, to use the time: each in a page of its own. */
  async function inEachLanguage(steps: (language: Language) => Promise<void>): Promise<void> {
    await Promise.all(LANGUAGES.map(steps));
  }

  async function fits(page: Page, what: string): Promise<void> {
    expect(await beyondEdges(page))
      .withContext(`${what} at ${String(page.viewportSize()?.width)} px`)
      .toEqual([]);
  }

  it('breaks no rule of axe on log-in and on the first, empty dashboard', async () => {
    await inEachLanguage(async (language) => {
      const page = await openPage(browser, `${pair.luebeck.url}/${language}/`);
      await page.getByTestId('login-button').waitFor();
      await page.locator('.organisation').waitFor();
      await look(page, `log-in, ${language}`);
      await page.getByTestId('login-button').click();
      await page.locator('[name=login]').waitFor();
      expect(await page.locator('html').getAttribute('lang')).toBe(language);
      await look(page, `identity provider, ${language}`);
      await page.context().close();
    });
    [bert, anna] = await Promise.all([
      logIn(browser, pair.luebeck.url, 'bert', 'demo'),
      logIn(browser, pair.hamburg.url, 'anna', 'demo'),
    ]);
    await bert.getByTestId('empty').waitFor();
    await look(bert, 'empty dashboard');
  });

  it('breaks no rule of axe on the dashboard, its menu and its dialogs', async () => {
    await createMeeting(bert, 'Coordination committee for the new crossing of the Elbe', [
      matrixId(pair.hamburg, 'anna'),
    ]);
    await anna.getByTestId('invitation-card').waitFor();
    await Promise.all([lookAtInvitation(), lookAtDashboard()]);
  });

  async function lookAtInvitation(): Promise<void> {
    for (const language of LANGUAGES) {
      await speak(anna, language);
      await anna.getByTestId('invitation-card').waitFor();
      await look(anna, `dashboard with an invitation, ${language}`);
    }
  }

  async function lookAtDashboard(): Promise<void> {
    for (const language of LANGUAGES) {
      await speak(bert, language);
      await bert.getByTestId('meeting-card').waitFor();
      expect(await bert.locator('h1').textContent()).toBe(HOME_TITLE[language]);
      await look(bert, `dashboard with a meeting, ${language}`);
      await bert.getByTestId('account-menu').click();
      await bert.getByTestId('logout').waitFor();
      await look(bert, `account menu, ${language}`);
      await bert.keyboard.press('Escape');
      await bert.getByTestId('new-meeting').click();
      await bert.locator('[data-testid=meeting-title]:focus').waitFor();
      await bert.getByTestId('meeting-invite').fill('nobody');
      await bert.getByTestId('create-meeting').click();
      await bert.getByRole('alert').first().waitFor();
      await look(bert, `new meeting, ${language}`);
      await closeDialog(bert);
      await bert.getByTestId('make-link').click();
      await bert.getByTestId('link-url').waitFor();
      await bert.getByTestId('invite-ids').fill(matrixId(pair.hamburg, 'anna').replace('anna', 'nobody'));
      await bert.getByTestId('send-invitations').click();
      await bert.getByTestId('invite-result').waitFor();
      await look(bert, `invitations, ${language}`);
      link = await bert.getByTestId('link-url').inputValue();
      await closeDialog(bert);
      await bert.keyboard.press('?');
      await bert.getByTestId('key-map').waitFor();
      await look(bert, `map of keys, ${language}`);
      await closeDialog(bert);
    }
  }

  async function closeDialog(page: Page): Promise<void> {
    await page.keyboard.press('Escape');
    await page.locator('mat-dialog-container').waitFor({ state: 'detached' });
  }

  it('breaks no rule of axe where a guest enters, and where a link is wrong', async () => {
    await inEachLanguage(async (language) => {
      const page = await openPage(browser, link);
      await page.getByTestId('guest-name').waitFor();
      await speak(page, language);
      await page.getByTestId('guest-name').waitFor();
      await look(page, `guest, ${language}`);
      await page.goto(`${pair.luebeck.url}/${language}/join/wrong`);
      await page.getByRole('alert').waitFor();
      await look(page, `wrong link, ${language}`);
      await page.context().close();
    });
  });

  it('breaks no rule of axe in the lobby, also without camera and without a meeting', async () => {
    await anna.getByTestId('accept-invitation').click();
    await anna.getByTestId('join-meeting').click();
    // English last: Anna goes on in it, Bert in German.
    for (const language of LANGUAGES.toReversed()) {
      await anna.getByTestId('lobby-join').waitFor();
      await speak(anna, language);
      await anna.locator('ht-level-meter').waitFor();
      await look(anna, `lobby, ${language}`);
      const page = await anna.context().newPage();
      await page.addInitScript(
        `navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));`,
      );
      await page.goto(anna.url());
      await page.getByTestId('camera-problem').waitFor();
      await look(page, `lobby without a camera, ${language}`);
      await page.goto(anna.url().replace(/meeting\/[^/]+/, 'meeting/!nothing:here'));
      await page.getByTestId('lobby-failure').waitFor();
      expect(await page.getByTestId('lobby-join').count()).toBe(0);
      await look(page, `lobby of nothing, ${language}`);
      await page.close();
    }
  });

  it('breaks no rule of axe in a conference, with each panel', async () => {
    await bert.getByTestId('join-meeting').click();
    await Promise.all([passLobby(bert), passLobby(anna)]);
    await inEachLanguage(async (language) => {
      const page = language === 'de' ? bert : anna;
      expect(await page.locator('html').getAttribute('lang')).toBe(language);
      await until(async () => (await stats(page)).videos.length === 1, 20_000);
      await look(page, `conference, ${language}`);
      for (const panel of ['chat', 'people', 'connections']) {
        await page.getByTestId(`${panel}-toggle`).click();
        if (panel === 'chat') {
          await page.getByTestId('chat-input').fill('Moin');
          await page.getByTestId('chat-send').click();
          await page.getByTestId('chat-message').first().waitFor();
        }
        await look(page, `conference with ${panel}, ${language}`);
        if (panel === 'people' && language === 'de') {
          await page.getByTestId('person').getByTestId('person-menu').click();
          await page.getByTestId('ban-person').waitFor();
          await look(page, `menu at a person, ${language}`);
          await page.keyboard.press('Escape');
        }
      }
      await page.keyboard.press('Escape');
    });
    await Promise.all([bert.getByTestId('leave').click(), anna.getByTestId('leave').click()]);
    await Promise.all([bert.getByTestId('new-meeting').waitFor(), anna.getByTestId('new-meeting').waitFor()]);
  });

  /** The element that has the focus. A lost or invisible focus is a failure. */
  async function focused(page: Page): Promise<string> {
    const state = await focusOf(page);
    if (state === null) throw new Error(`Nothing has the focus on ${page.url()}.`);
    // Headings get the focus by script only, and nothing can be done with them: a box around them says nothing.
    if (/^h[1-3]$/.test(state.name)) expect(state.ring).withContext(`focus ring of ${state.name}`).toBe(0);
    else expect(state.ring).withContext(`focus ring of ${state.name}`).toBeGreaterThanOrEqual(2);
    expect(state.inView).withContext(`${state.name} is in view`).toBeTrue();
    return state.name;
  }

  /** Presses Tab until something has the focus. */
  async function tabTo(page: Page, name: string, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
    const passed: string[] = [];
    for (let presses = 0; presses < 25; presses += 1) {
      await page.keyboard.press(key);
      // At the end of the page the browser itself has the focus once.
      if ((await focusOf(page)) === null) continue;
      passed.push(await focused(page));
      if (passed.at(-1) === name) return;
    }
    throw new Error(`Tab does not lead to ${name}, but over ${passed.join(', ')}.`);
  }

  /** Waits until the focus stands somewhere. */
  async function focusOn(page: Page, selector: string): Promise<void> {
    await page.locator(`${selector}:focus`).waitFor({ timeout: 5_000 });
    await focused(page);
  }

  it('is used by keyboard alone, from the log-in to leaving, and the focus is always seen', async () => {
    const page = await openPage(browser, `${pair.luebeck.url}/en/`);
    await page.getByTestId('login-button').waitFor();
    await tabTo(page, 'login-button');
    await page.keyboard.press('Enter');
    await page.locator('[name=login]:focus').waitFor();
    await page.keyboard.type('clara');
    await tabTo(page, 'password');
    await page.keyboard.type('demo');
    await page.keyboard.press('Enter');
    await page.getByTestId('new-meeting').waitFor();

    await tabTo(page, 'account-menu');
    await page.keyboard.press('Enter');
    await tabTo(page, 'theme');
    await page.keyboard.press('ArrowDown');
    await page.locator('html[data-theme=light]').waitFor();
    await page.keyboard.press('Escape');
    expect(await focused(page)).toBe('account-menu');

    await tabTo(page, 'new-meeting');
    await page.keyboard.press('Enter');
    await page.locator('[data-testid=meeting-title]:focus').waitFor();
    await page.keyboard.type('By keyboard');
    await page.keyboard.press('Enter');
    await page.getByTestId('meeting-card').waitFor();
    await page.locator('mat-dialog-container').waitFor({ state: 'detached' });
    expect(await focused(page)).toBe('new-meeting');

    await tabTo(page, 'join-meeting');
    await page.keyboard.press('Enter');
    await page.getByTestId('lobby-join').waitFor();
    await focusOn(page, 'h1');
    await page.locator('ht-level-meter').waitFor();
    await tabTo(page, 'lobby-join');
    await page.keyboard.press('Enter');
    await page.getByTestId('mute').waitFor();
    await focusOn(page, 'h1');

    await tabTo(page, 'mute');
    expect(await page.getByTestId('mute').getAttribute('aria-pressed')).toBe('true');
    await page.keyboard.press('Space');
    await page.locator('[data-testid=mute][aria-pressed=false]').waitFor();
    await tabTo(page, 'chat-toggle');
    await page.keyboard.press('Enter');
    await focusOn(page, '#panel-title');
    await tabTo(page, 'chat-input');
    await page.keyboard.type('Moin?');
    await page.keyboard.press('Enter');
    await page.getByTestId('chat-message').waitFor();
    expect(await page.locator('mat-dialog-container').count())
      .withContext('a ? in a text')
      .toBe(0);
    await page.keyboard.type('Again');
    await tabTo(page, 'chat-send');
    await page.keyboard.press('Enter');
    await focusOn(page, '[data-testid=chat-input]');
    await page.keyboard.press('Escape');
    expect(await focused(page)).toBe('chat-toggle');
    await tabTo(page, 'leave');
    await page.keyboard.press('Enter');
    await page.getByTestId('new-meeting').waitFor();
    await focusOn(page, 'h1');
    await page.context().close();
  });

  it('has single keys, a map of them on "?", and a switch that makes them silent', async () => {
    await enter(bert);
    await bert.keyboard.press('m');
    await bert.locator('[data-testid=mute][aria-pressed=false]').waitFor();
    await bert.keyboard.press('c');
    await focusOn(bert, '[data-testid=chat-input]');
    await bert.keyboard.type('mm');
    expect(await bert.getByTestId('chat-input').inputValue()).toBe('mm');
    expect(await bert.getByTestId('mute').getAttribute('aria-pressed')).toBe('false');
    await bert.keyboard.press('Escape');
    await bert.keyboard.press('?');
    await bert.getByTestId('key-map').waitFor();
    await bert.getByRole('checkbox').press('Space');
    await closeDialog(bert);
    await bert.keyboard.press('m');
    await bert.keyboard.press('?');
    await bert.keyboard.press('p');
    expect(await bert.getByTestId('mute').getAttribute('aria-pressed')).toBe('false');
    expect(await bert.locator('mat-dialog-container, aside').count()).toBe(0);
    await bert.getByTestId('leave').click();
    await bert.getByTestId('new-meeting').waitFor();
  });

  it('keeps the focus when what had it goes', async () => {
    await createMeeting(bert, 'Second round', [matrixId(pair.hamburg, 'anna')]);
    await anna.getByTestId('invitation-card').waitFor();
    await tabTo(anna, 'accept-invitation');
    await anna.keyboard.press('Enter');
    await anna.getByTestId('invitation-card').waitFor({ state: 'detached' });
    await until(async () => (await focused(anna)) === 'join-meeting', 5_000);
    await bert.getByTestId('meeting-card').nth(1).waitFor();
    await createMeeting(bert, 'Third round', [matrixId(pair.hamburg, 'anna')]);
    await anna.getByTestId('invitation-card').waitFor();
    await tabTo(anna, 'decline-invitation', 'Shift+Tab');
    await anna.keyboard.press('Enter');
    await anna.getByTestId('invitation-card').waitFor({ state: 'detached' });
    await focusOn(anna, 'h1');
    await focused(anna);
  });

  it('stays whole when letters are twice as large, without motion and in the colours of the system', async () => {
    await enter(anna);
    await anna.emulateMedia({ forcedColors: 'active', reducedMotion: 'reduce' });
    expect(await movingElements(anna)).toBe(0);
    // What is on differs from what is off by more than a colour that the system takes away.
    expect(await borderOf(anna, 'mute')).not.toBe(await borderOf(anna, 'chat-toggle'));
    await anna.emulateMedia({ forcedColors: 'none' });
    await anna.addStyleTag({ content: 'html { font-size: 200%; }' });
    for (const size of [PHONE, { width: 720, height: 450 }]) {
      await anna.setViewportSize(size);
      await fits(anna, 'conference with large letters');
    }
  });
});
