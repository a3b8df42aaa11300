/**
 * People in Debian's Firefox with a fake camera and microphone: the verbs of browser.ts and meeting.ts for a second
 * browser, driven by WebDriver BiDi. On a display of its own (Xvfb), because a headless Firefox has no screen to share.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { launch } from 'puppeteer-core';
import type { Browser, Page } from 'puppeteer-core';
import type { Organisation } from './meeting.ts';

export type FirefoxPage = Page;

const FIREFOX = '/usr/bin/firefox-esr';
const XVFB = '/usr/bin/Xvfb';
const PATIENCE_MS = 30_000;

const PREFERENCES = {
  // A drawn camera and a tone, without the question of the browser.
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  // Candidates by address: there is no multicast DNS in the network of the specs.
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'intl.accept_languages': 'en',
  'intl.locale.requested': 'en-US',
};

export interface Firefox {
  readonly browser: Browser;
  close(): Promise<void>;
}

/** Why Firefox can not take part in a meeting here; undefined when it can. */
export function firefoxLacks(): string | undefined {
  if (!existsSync(FIREFOX)) return 'needs firefox-esr';
  if (!existsSync(XVFB)) return 'needs xvfb';
  if (process.env['HANSETAG_SPEC_NETWORK'] !== 'own') return 'needs a network of its own: root, unshare, ip and nft';
  return undefined;
}

export async function launchFirefox(): Promise<Firefox> {
  const { display, server } = await startDisplay();
  try {
    const browser = await launch({
      browser: 'firefox',
      executablePath: FIREFOX,
      headless: false,
      env: { ...process.env, DISPLAY: display },
      extraPrefsFirefox: PREFERENCES,
      defaultViewport: null,
    });
    return {
      browser,
      close: async () => {
        await browser.close();
        server.kill();
      },
    };
  } catch (error) {
    server.kill();
    throw error;
  }
}

/** An X server without a screen, at a display number that it chooses. */
async function startDisplay(): Promise<{ display: string; server: ChildProcess }> {
  const server = spawn(XVFB, ['-displayfd', '3', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const failed = once(server, 'exit').then(() => {
    throw new Error('Xvfb has ended.');
  });
  const told = server.stdio[3];
  if (!told) throw new Error('Xvfb has no way to tell its display.');
  const [number] = (await Promise.race([once(told, 'data'), failed])) as [Buffer];
  failed.catch(() => undefined);
  return { display: `:${number.toString().trim()}`, server };
}

function byTestId(testId: string): string {
  return `[data-testid="${testId}"]`;
}

/** Clicks as a person does: when the thing is there, stands still and can be clicked. */
export function press(page: Page, testId: string): Promise<void> {
  return page.locator(byTestId(testId)).setTimeout(PATIENCE_MS).click();
}

export async function appears(page: Page, testId: string, timeout = PATIENCE_MS): Promise<void> {
  await page.waitForSelector(byTestId(testId), { timeout });
}

export async function count(page: Page, selector: string): Promise<number> {
  return (await page.$$(selector)).length;
}

/** An attribute of the first match, or ''. */
export async function attribute(page: Page, selector: string, name: string): Promise<string> {
  const [found, wanted] = [JSON.stringify(selector), JSON.stringify(name)];
  return String(await page.evaluate(`document.querySelector(${found})?.getAttribute(${wanted}) ?? ''`));
}

/** The text of the first match, or ''. */
export async function text(page: Page, selector: string): Promise<string> {
  return String(await page.evaluate(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? ''`));
}

/** Marks all matches, to tell them later from what came after them. */
export async function mark(page: Page, selector: string, name: string): Promise<void> {
  const [found, wanted] = [JSON.stringify(selector), JSON.stringify(name)];
  await page.evaluate(`document.querySelectorAll(${found}).forEach((element) => element.setAttribute(${wanted}, ''))`);
}

/** A new person with a browser profile of its own, on a page. */
export async function openPage({ browser }: Firefox, url: string): Promise<Page> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  // The page asks before a reload leaves a meeting; a spec that reloads means it.
  page.on('dialog', (dialog) => {
    dialog.accept().catch(() => undefined);
  });
  await page.goto(url);
  return page;
}

/** A new person, logged in at an organisation. */
export async function logIn(
  fox: Firefox,
  { url }: Pick<Organisation, 'url'>,
  user: string,
  password: string,
): Promise<Page> {
  const page = await openPage(fox, `${url}/en/`);
  await press(page, 'login-button');
  await page.locator('[name=login]').fill(user);
  await page.locator('[name=password]').fill(password);
  await page.locator('[type=submit]').click();
  await appears(page, 'new-meeting');
  return page;
}

export async function passLobby(page: Page): Promise<void> {
  await press(page, 'lobby-join');
  await appears(page, 'mute');
}

/** Goes into the meeting from wherever the page is. */
export async function enter(page: Page): Promise<void> {
  if (!page.url().includes('/lobby')) await press(page, 'join-meeting');
  await passLobby(page);
}

/** Accepts the invitation that the page shows, and goes in. */
export async function accept(page: Page): Promise<void> {
  await press(page, 'accept-invitation');
  await appears(page, 'join-meeting');
  await enter(page);
}
