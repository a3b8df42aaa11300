/** Rules of a meeting of two organisations: Chromium in Lübeck leads it, Firefox in Hamburg is under them. */
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, logIn, until } from './browser.ts';
import * as firefox from './firefox.ts';
import type { Firefox, FirefoxPage } from './firefox.ts';
import { createMeeting, enter, matrixId, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

/** For what takes a second on a free machine, and much longer on a busy one. */
const LIMIT_MS = 30_000;

describe('Mute / mic restriction, Screen share + permission: two organisations, two browsers', () => {
  const lacks = firefox.firefoxLacks();
  let pair: Pair;
  let chromium: Browser;
  let fox: Firefox;
  let bert: Page;
  let anna: FirefoxPage;

  beforeAll(async () => {
    if (lacks !== undefined) return;
    pair = await startPair({ lan: true });
    [chromium, fox] = await Promise.all([launchBrowser(), firefox.launchFirefox()]);
    [anna, bert] = await Promise.all([
      firefox.logIn(fox, pair.hamburg, 'anna', 'demo'),
      logIn(chromium, pair.luebeck.url, 'bert', 'demo'),
    ]);
    const annaId = matrixId(pair.hamburg, 'anna');
    await createMeeting(bert, 'Storm tide', [annaId]);
    await enter(bert);
    await firefox.accept(anna);
    await bert.locator(`[data-testid=tile][data-participant-id^="${annaId}"]`).waitFor();
    await bert.getByTestId('people-toggle').click();
  });

  afterAll(async () => {
    if (lacks !== undefined) return;
    await Promise.allSettled([chromium.close(), fox.close()]);
    await pair.close();
  });

  beforeEach(() => {
    if (lacks !== undefined) pending(lacks);
  });

  /** Bert chooses something behind the three dots of the people panel. */
  async function choose(name: string): Promise<void> {
    await bert.getByTestId('meeting-actions').click();
    await bert.getByTestId(name).click();
  }
  const annasButton = (testId: string, attribute: string): Promise<string> =>
    firefox.attribute(anna, `[data-testid=${testId}]`, attribute);

  it('switch off microphone and screen of others, whose buttons say why, until they are lifted', async () => {
    await until(async () => (await annasButton('mute', 'data-on')) === 'true', LIMIT_MS);
    await choose('restrict-microphone');
    await until(async () => (await annasButton('mute', 'data-on')) === 'false', LIMIT_MS);
    expect(await annasButton('mute', 'aria-disabled')).toBe('true');
    expect(await annasButton('mute', 'title')).toContain('have restricted microphones');
    await firefox.press(anna, 'mute');
    await choose('restrict-screen');
    await until(async () => (await annasButton('share', 'aria-disabled')) === 'true', LIMIT_MS);
    expect(await annasButton('share', 'title')).toContain('have restricted the sharing of screens');
    expect(await annasButton('mute', 'data-on')).toBe('false');
    expect(await bert.getByTestId('mute').getAttribute('aria-disabled')).toBe('false');
    await choose('restrict-screen');
    await choose('restrict-microphone');
    await until(async () => (await annasButton('mute', 'aria-disabled')) === 'false', LIMIT_MS);
    await firefox.press(anna, 'mute');
    await until(async () => (await annasButton('mute', 'data-on')) === 'true', LIMIT_MS);
  });
});
