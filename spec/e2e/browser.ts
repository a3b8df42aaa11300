/** People in Debian's Chromium with fake cameras and microphones. */
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';

/** Figures of the client's own diagnostics, as `globalThis.hansetagDiagnostics.stats()` gives them. */
export interface ClientStats {
  readonly videos: { participantId: string; framesDecoded: number; frameWidth: number }[];
  readonly audios: { participantId: string; totalAudioEnergy: number; packetsReceived: number }[];
  readonly pairs: { remoteAddress: string; state: string }[];
}

/** How long a person waits for what shall be on the page, in ms. */
const PATIENCE_MS = 90_000;

export const BROWSER_OPTIONS = {
  executablePath: '/usr/bin/chromium',
  args: [
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--no-sandbox',
    '--autoplay-policy=no-user-gesture-required',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-quic',
    '--no-first-run',
    '--allow-loopback-in-peer-connection',
  ],
};

export function launchBrowser(): Promise<Browser> {
  return chromium.launch(BROWSER_OPTIONS);
}

/** A new person with an own browser profile, on the page of an organisation. */
export async function openPage(browser: Browser, url: string): Promise<Page> {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'], locale: 'en' });
  // What takes a moment takes much longer where two cores do everything else as well.
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

export async function logIn(browser: Browser, url: string, user: string, password: string): Promise<Page> {
  const page = await openPage(browser, `${url}/en/`);
  await page.getByTestId('login-button').click();
  await page.locator('[name=login]').fill(user);
  await page.locator('[name=password]').fill(password);
  await page.locator('[type=submit]').click();
  await page.getByTestId('new-meeting').waitFor();
  return page;
}

export async function passLobby(page: Page): Promise<void> {
  await page.getByTestId('lobby-join').click();
  await page.getByTestId('mute').waitFor();
}

/** A page of whichever browser. */
export interface AnyPage {
  evaluate<R>(run: () => R | Promise<R>): Promise<R>;
}

/** Empty while the client has not begun with media. */
export function stats(page: AnyPage): Promise<ClientStats> {
  return page.evaluate(
    () =>
      (
        globalThis as unknown as { hansetagDiagnostics?: { stats(): Promise<ClientStats> } }
      ).hansetagDiagnostics?.stats() ?? { videos: [], audios: [], pairs: [] },
  );
}

/** Asks again and again until the answer satisfies, for at most so many ms. @returns the ms it took */
export async function until(check: () => Promise<boolean>, limitMs: number): Promise<number> {
  const start = Date.now();
  while (!(await check())) {
    if (Date.now() - start > limitMs) throw new Error(`Not within ${limitMs} ms: ${check.toString().slice(0, 200)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return Date.now() - start;
}
