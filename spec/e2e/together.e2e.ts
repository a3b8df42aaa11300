/** What people of two organisations do together beside talking: Chromium in Lübeck, Firefox in Hamburg. */
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, logIn, until } from './browser.ts';
import * as firefox from './firefox.ts';
import type { Firefox, FirefoxPage } from './firefox.ts';
import { accept, createMeeting, enter, matrixId, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

/** For what takes a second on a free machine, and much longer on a busy one. */
const LIMIT_MS = 30_000;

describe('Raise hand / reactions: two organisations, two browsers', () => {
  const lacks = firefox.firefoxLacks();
  let pair: Pair;
  let chromium: Browser;
  let fox: Firefox;
  /** Lübeck, who made the meeting, in Chromium. */
  let bert: Page;
  /** Hamburg, in Firefox. */
  let anna: FirefoxPage;
  /** Hamburg, who comes late, in Chromium. */
  let late: Page;
  let bertId: string;
  let annaId: string;
  let lateId: string;

  beforeAll(async () => {
    if (lacks !== undefined) return;
    pair = await startPair({ lan: true });
    [chromium, fox] = await Promise.all([launchBrowser(), firefox.launchFirefox()]);
    const third = pair.hamburg.people.find(({ user }) => user !== 'anna');
    if (!third) throw new Error('There is nobody else in Hamburg.');
    [bertId, annaId, lateId] = [matrixId(pair.luebeck, 'bert'), matrixId(pair.hamburg, 'anna'), third.matrixId];
    [anna, bert, late] = await Promise.all([
      firefox.logIn(fox, pair.hamburg, 'anna', 'demo'),
      logIn(chromium, pair.luebeck.url, 'bert', 'demo'),
      logIn(chromium, pair.hamburg.url, third.user, 'demo'),
    ]);
    await createMeeting(bert, 'Storm tide', [annaId, lateId]);
    await enter(bert);
    await firefox.accept(anna);
    await bert.locator(tile(annaId)).waitFor();
    await until(async () => (await firefox.count(anna, tile(bertId))) === 1, LIMIT_MS);
    await bert.getByTestId('people-toggle').click();
    await firefox.press(anna, 'people-toggle');
  });

  afterAll(async () => {
    if (lacks !== undefined) return;
    await Promise.allSettled([chromium.close(), fox.close()]);
    await pair.close();
  });

  beforeEach(() => {
    if (lacks !== undefined) pending(lacks);
  });

  const tile = (userId: string): string => `[data-testid=tile][data-participant-id^="${userId}"]`;
  const hand = (userId: string): string => `${tile(userId)} [data-testid=hand-mark]`;
  /** User ids of raised hands, in the order that is shown. */
  const inChromium = (page: Page): Promise<string> =>
    page.evaluate(
      `[...document.querySelectorAll('[data-testid=raised-hand]')].map((row) => row.dataset.participantId.split('|')[0]).join(' ')`,
    );
  const inFirefox = async (): Promise<string> =>
    String(
      await anna.evaluate(
        `[...document.querySelectorAll('[data-testid=raised-hand]')].map((row) => row.dataset.participantId.split('|')[0]).join(' ')`,
      ),
    );
  const everywhere = async (...userIds: string[]): Promise<void> => {
    const wanted = userIds.join(' ');
    await until(async () => (await inChromium(bert)) === wanted, LIMIT_MS);
    await until(async () => (await inFirefox()) === wanted, LIMIT_MS);
  };

  it('shows raised hands on both sides in the order in which they went up', async () => {
    await firefox.press(anna, 'raise-hand');
    await everywhere(annaId);
    await bert.keyboard.press('h');
    await everywhere(annaId, bertId);
    expect(await bert.locator(hand(annaId)).innerText()).toContain('1');
    expect(await firefox.text(anna, hand(bertId))).toContain('2');
    expect(await firefox.attribute(anna, '[data-testid=raise-hand]', 'aria-pressed')).toBe('true');
  });

  it('shows them to who comes later', async () => {
    await accept(late);
    await late.locator(hand(annaId)).waitFor();
    await late.getByTestId('people-toggle').click();
    await until(async () => (await inChromium(late)) === `${annaId} ${bertId}`, LIMIT_MS);
  });

  it('shows reactions of each organisation to everybody, and takes them away again', async () => {
    const line = '[data-testid=shown-reactions]';
    const claps = (userId: string): string =>
      `${line}[data-organisation="${userId.slice(userId.indexOf(':') + 1)}"] [data-reaction=clap] .count`;
    // They stand for some seconds: looked for from before they are sent.
    const [fromHamburg, fromLuebeck] = await Promise.all([
      until(async () => (await bert.locator(claps(annaId)).count()) === 1, LIMIT_MS),
      until(async () => (await firefox.count(anna, claps(bertId))) === 1, LIMIT_MS),
      (async () => {
        await firefox.press(anna, 'reactions');
        await firefox.press(anna, 'react-clap');
        await bert.getByTestId('reactions').click();
        await bert.getByTestId('react-clap').click();
      })(),
    ]);
    console.log(`  reactions seen after ${String(fromHamburg)} ms and ${String(fromLuebeck)} ms, the menus included`);
    await until(async () => (await bert.locator(line).count()) === 0, LIMIT_MS);
    await until(async () => (await firefox.count(anna, line)) === 0, LIMIT_MS);
  });

  it('keeps raised hands over a restart of a homeserver', async () => {
    pair.hamburg.homeserver.kill('SIGKILL', { stayDead: true });
    await firefox.appears(anna, 'connection-banner');
    await pair.hamburg.homeserver.restart();
    await until(async () => (await firefox.count(anna, '[data-testid=connection-banner]')) === 0, LIMIT_MS);
    await everywhere(annaId, bertId);
    await firefox.press(anna, 'raise-hand');
    await everywhere(bertId);
    await firefox.press(anna, 'raise-hand');
    await everywhere(bertId, annaId);
  });

  it('lets who leads the meeting lower the hand of somebody of the other organisation, who is told', async () => {
    await bert.locator(`[data-testid=raised-hand][data-participant-id^="${annaId}"] [data-testid=lower]`).click();
    await everywhere(bertId);
    await firefox.appears(anna, 'told');
    expect(await firefox.text(anna, '[data-testid=told]')).toContain('has lowered your hand');
  });

  it('lets who leads the meeting switch hands off, for all, and on again', async () => {
    await bert.getByTestId('switch-hands').click();
    await everywhere();
    const off = (): Promise<string> => firefox.attribute(anna, '[data-testid=raise-hand]', 'aria-disabled');
    await until(async () => (await off()) === 'true', LIMIT_MS);
    await bert.getByTestId('switch-hands').click();
    await until(async () => (await off()) === 'false', LIMIT_MS);
    await firefox.press(anna, 'raise-hand');
    await everywhere(annaId);
  });

  it('lets who leads the meeting mute somebody of the other organisation, who is told and can unmute', async () => {
    const on = (): Promise<string> => firefox.attribute(anna, '[data-testid=mute]', 'data-on');
    const muted = bert.locator(`${tile(annaId)} ht-icon.muted`);
    expect(await on()).toBe('true');
    await bert.locator(tile(annaId)).hover();
    await bert.locator(tile(annaId)).getByTestId('person-menu').click();
    await bert.getByTestId('mute-person').click();
    await until(async () => (await on()) === 'false', LIMIT_MS);
    const said = async (): Promise<boolean> => (await firefox.text(anna, '.banners')).includes('has muted you');
    await until(said, LIMIT_MS);
    await muted.waitFor();
    await firefox.press(anna, 'mute');
    await muted.waitFor({ state: 'detached' });
  });

  /** What Bert chooses at somebody in the people panel. */
  async function choose(userId: string, action: string): Promise<void> {
    await bert.locator(`[data-testid=person][data-participant-id^="${userId}"]`).getByTestId('person-menu').click();
    await bert.getByTestId(action).click();
  }

  describe('Kick / ban: in two browsers', () => {
    it('takes somebody of the other organisation out after a question, who is told by whom', async () => {
      await choose(lateId, 'ban-person');
      await bert.getByTestId('ban-yes').click();
      await late.getByTestId('ending').waitFor();
      const ending = await late.getByTestId('ending').innerText();
      expect(ending).toContain('You are no longer in this meeting');
      expect(ending).toContain('has removed you from the meeting for good');
      await until(async () => (await bert.locator(tile(lateId)).count()) === 0, LIMIT_MS);
      await until(async () => (await firefox.count(anna, tile(lateId))) === 0, LIMIT_MS);
    });
  });
});
