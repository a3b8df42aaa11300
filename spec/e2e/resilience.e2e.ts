/** What people notice when a browser, a homeserver or a media worker dies in the middle of a meeting. */
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';
import type { Browser, BrowserServer, Page } from 'playwright-core';
import { BROWSER_OPTIONS, launchBrowser, logIn, until } from './browser.ts';
import { accept, createMeeting, enter, framesOf, matrixId, seesMoving, startPair } from './meeting.ts';
import type { Organisation, Pair } from './meeting.ts';

describe('A meeting in which something dies', () => {
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
    doomed = await logIn(await chromium.connect(server.wsEndpoint()), pair.hamburg.url, third.user, 'demo');
    anna = await logIn(browser, pair.hamburg.url, 'anna', 'demo');
    bert = await logIn(browser, pair.luebeck.url, 'bert', 'demo');
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
    expect(Math.max(...took)).toBeLessThan(10_000);
  });

  it('goes on while a homeserver is dead, says so, and finds everything again', async () => {
    await say(bert, 'before the wave');
    await anna.getByText('before the wave').first().waitFor();
    pair.hamburg.homeserver.kill('SIGKILL', { stayDead: true });
    await anna.getByTestId('connection-banner').waitFor();
    const frames = await framesOf(anna, bertId);
    await anna.waitForTimeout(4_000);
    expect((await framesOf(anna, bertId)) - frames).toBeGreaterThan(30);
    await seesMoving(bert, annaId, 2_000);
    await say(bert, 'while Hamburg was dark');

    await pair.hamburg.homeserver.restart();
    await anna.getByTestId('connection-banner').waitFor({ state: 'detached', timeout: 20_000 });
    await anna.getByText('while Hamburg was dark').first().waitFor({ timeout: 20_000 });
    expect(await anna.getByText('before the wave').count()).toBeGreaterThan(0);
    await both(5_000);
    await say(anna, 'here again');
    await bert.getByText('here again').first().waitFor();
    // Those who were in stay in: nobody was thrown out by the restart.
    await anna.waitForTimeout(8_000);
    await both(5_000);
    expect(await bert.locator(`[data-testid=tile][data-participant-id^="${annaId}"]`).count()).toBe(1);
  });

  for (const side of ['luebeck', 'hamburg'] as const) {
    it(`has its media back within 5 s when a media worker of ${side} was killed`, async () => {
      killWorkers(pair[side]);
      const took = await both(12_000);
      expect(took).toBeLessThan(5_000);
    });
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
