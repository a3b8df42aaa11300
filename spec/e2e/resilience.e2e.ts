/** What people notice when a browser, a homeserver or a media worker dies in the middle of a meeting. */
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';
import type { Browser, BrowserServer, Page } from 'playwright-core';
import { BROWSER_OPTIONS, launchBrowser, logIn, passLobby, until } from './browser.ts';
import { accept, createMeeting, enter, framesOf, matrixId, seesMoving, silences, startPair } from './meeting.ts';
import type { Organisation, Pair } from './meeting.ts';

/** How long a meeting is looked at after something in it was killed, in ms. */
const WATCHED_MS = 7_000;
/** Frames in a second that Chromium's fake camera gives at least, through all of this. */
const FRAMES_PER_SECOND = 15;
const ACKNOWLEDGED = 5;

describe('Split and heal: a meeting in which something dies', () => {
  let pair: Pair;
  let browser: Browser;
  let bert: Page;
  let anna: Page;
  let bertId: string;
  let annaId: string;
  /** A browser of its own, to be killed. */
  let server: BrowserServer;
  let doomed: Page;
  let doomedId: string;

  beforeAll(async () => {
    pair = await startPair();
    browser = await launchBrowser();
    bertId = matrixId(pair.luebeck, 'bert');
    annaId = matrixId(pair.hamburg, 'anna');
    server = await chromium.launchServer(BROWSER_OPTIONS);
    const third = pair.hamburg.people.find((person) => person.user !== 'anna');
    if (!third) throw new Error('There is nobody else in Hamburg.');
    doomedId = third.matrixId;
    const other = await chromium.connect(server.wsEndpoint());
    [doomed, anna, bert] = await Promise.all([
      logIn(other, pair.hamburg.url, third.user, 'demo'),
      logIn(browser, pair.hamburg.url, 'anna', 'demo'),
      logIn(browser, pair.luebeck.url, 'bert', 'demo'),
    ]);
    await createMeeting(bert, 'Storm tide', [annaId, doomedId]);
    await enter(bert);
    await accept(anna);
    await seesMoving(bert, annaId, 15_000);
    await seesMoving(anna, bertId, 15_000);
    for (const page of [bert, anna]) await page.getByTestId('chat-toggle').click();
  });

  afterAll(async () => {
    await browser.close();
    await pair.close();
  });

  const say = async (page: Page, text: string): Promise<void> => {
    await page.getByTestId('chat-input').fill(text);
    await page.getByTestId('chat-send').click();
  };
  const messages = (page: Page): Promise<number> => page.getByTestId('chat-message').count();
  const both = async (limitMs: number): Promise<number> =>
    Math.max(...(await Promise.all([seesMoving(bert, annaId, limitMs), seesMoving(anna, bertId, limitMs)])));

  it('forgets within 10 s, everywhere, somebody whose browser was killed', async () => {
    await accept(doomed);
    await seesMoving(doomed, bertId, 15_000);
    const tiles = [bert, anna].map((viewer) =>
      viewer.locator(`[data-testid=tile][data-participant-id^="${doomedId}"]`),
    );
    for (const tile of tiles) await tile.first().waitFor();
    server.process().kill('SIGKILL');
    const took = await Promise.all(tiles.map((tile) => until(async () => (await tile.count()) === 0, 15_000)));
    console.log(`  gone ${String(took[1])} ms after the kill at home, ${String(took[0])} ms elsewhere`);
    expect(Math.max(...took)).toBeLessThan(10_000);
  });

  it('goes on while a homeserver is dead, says so, and finds everything again', async () => {
    const began = Date.now();
    const frames = await Promise.all([framesOf(bert, annaId), framesOf(anna, bertId)]);
    const texts = Array.from({ length: ACKNOWLEDGED }, (_, index) => `before the wave ${String(index)}`);
    for (const text of texts) await say(anna, text);
    const outgoing = anna.locator('article.outgoing');
    await until(async () => (await messages(anna)) === ACKNOWLEDGED && (await outgoing.count()) === 0, 10_000);
    pair.hamburg.homeserver.kill('SIGKILL', { stayDead: true });
    const died = Date.now();
    await anna.getByTestId('connection-banner').waitFor();
    const told = Date.now() - died;
    const silent = Math.max(...(await silences([bert, anna], 4_000)));
    await say(bert, 'while Hamburg was dark');

    await pair.hamburg.homeserver.restart();
    const back = Date.now();
    await anna.getByTestId('connection-banner').waitFor({ state: 'detached', timeout: 20_000 });
    const resumed = Date.now() - back;
    await anna.getByText('while Hamburg was dark').first().waitFor({ timeout: 20_000 });
    await say(anna, 'here again');
    await bert.getByText('here again').first().waitFor();
    // Those who were in stay in: nobody was thrown out by the restart, and nothing was closed that is still watched.
    await anna.waitForTimeout(12_000);
    await both(5_000);
    for (const [page, id] of [
      [bert, annaId],
      [anna, bertId],
    ] as const) {
      expect(await page.locator(`[data-testid=tile][data-participant-id^="${id}"]`).count()).toBe(1);
    }
    const seconds = (Date.now() - began) / 1_000;
    const gained = [
      (await framesOf(bert, annaId)) - (frames[0] ?? 0),
      (await framesOf(anna, bertId)) - (frames[1] ?? 0),
    ];
    console.log(
      `  told after ${String(told)} ms, ready again to resumed ${String(resumed)} ms, longest silence in the outage ` +
        `${String(silent)} ms, frames a second through all of it ${gained.map((n) => (n / seconds).toFixed(1)).join(' and ')}`,
    );
    expect(silent).toBeLessThan(1_000);
    // A consumer that was closed and made anew would count from 0.
    for (const count of gained) expect(count).toBeGreaterThan(FRAMES_PER_SECOND * seconds);
  });

  it('keeps every chat message that was acknowledged before the homeserver died', async () => {
    // Nothing of the page is left: what it shows now comes from the server.
    await anna.reload();
    await anna.waitForURL(/\/lobby/);
    await passLobby(anna);
    await anna.getByTestId('chat-toggle').click();
    await until(async () => (await messages(anna)) === ACKNOWLEDGED + 2, 10_000);
    for (const page of [bert, anna]) {
      const shown = await page.getByTestId('chat-message').locator('ht-message-text').allTextContents();
      const all = shown.map((text) => text.trim());
      expect(all.filter((text) => text.startsWith('before the wave')).length).toBe(ACKNOWLEDGED);
      expect(new Set(all).size).toBe(ACKNOWLEDGED + 2);
    }
    await both(15_000);
  });

  for (const side of ['luebeck', 'hamburg'] as const) {
    for (const [what, kill] of [
      ['a media worker', (organisation: Organisation) => killWorkers(organisation)],
      ['the SFU', (organisation: Organisation) => organisation.sfu.kill('SIGKILL')],
    ] as const) {
      it(`has its media back within 5 s when ${what} of ${side} was killed`, async () => {
        const watching = silences([bert, anna], WATCHED_MS);
        kill(pair[side]);
        const silent = await watching;
        console.log(`  ${what} of ${side}: longest silence ${silent.join(' and ')} ms`);
        expect(Math.max(...silent)).toBeLessThan(5_000);
        await both(5_000);
      });
    }
  }
});

/** Kills the mediasoup workers of an organisation, as the kernel does when memory runs out. */
function killWorkers(organisation: Organisation): void {
  const { pid } = organisation.sfu;
  if (pid === undefined) throw new Error('The SFU does not run.');
  const workers = execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(Number);
  for (const worker of workers) process.kill(worker, 'SIGKILL');
}
