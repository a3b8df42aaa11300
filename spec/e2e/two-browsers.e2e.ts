/** Firefox and Chromium in one conference, of two organisations. */
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, logIn, stats, until } from './browser.ts';
import type { AnyPage } from './browser.ts';
import * as firefox from './firefox.ts';
import type { Firefox, FirefoxPage } from './firefox.ts';
import { createMeeting, enter, matrixId, seesMoving, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

/** A sign of life that is late makes a tile say so after 3 s; it is looked at for longer. */
const WATCHED_MS = 8_000;
const TOLD_MS = 8_000;
/** For what takes a second on a free machine, and much longer on a busy one: two browsers encode by software. */
const LIMIT_MS = 60_000;

describe('Two browsers, one plain truth', () => {
  const lacks = firefox.firefoxLacks();
  let pair: Pair;
  let chromium: Browser;
  let fox: Firefox;
  /** Lübeck, Chromium. */
  let bert: Page;
  /** Hamburg, Firefox. */
  let anna: FirefoxPage;
  let bertId: string;
  let annaId: string;

  beforeAll(async () => {
    if (lacks !== undefined) return;
    pair = await startPair({ lan: true });
    [chromium, fox] = await Promise.all([launchBrowser(), firefox.launchFirefox()]);
    bertId = matrixId(pair.luebeck, 'bert');
    annaId = matrixId(pair.hamburg, 'anna');
  });

  afterAll(async () => {
    if (lacks !== undefined) return;
    await Promise.allSettled([chromium.close(), fox.close()]);
    await pair.close();
  });

  beforeEach(() => {
    if (lacks !== undefined) pending(lacks);
  });

  function tile(userId: string, source = 'camera'): string {
    return `[data-testid=tile][data-source=${source}][data-participant-id^="${userId}"]`;
  }

  const inFirefox = (userId: string, attribute: string, source?: string): Promise<string> =>
    firefox.attribute(anna, tile(userId, source), attribute);
  const inChromium = async (userId: string, attribute: string, source?: string): Promise<string> => {
    const found = bert.locator(tile(userId, source));
    return (await found.count()) === 0 ? '' : ((await found.getAttribute(attribute)) ?? '');
  };
  const heard = async (page: AnyPage, userId: string): Promise<number> => {
    const { audios } = await stats(page);
    return audios
      .filter(({ participantId }) => participantId.startsWith(userId))
      .reduce((sum, { totalAudioEnergy }) => sum + totalAudioEnergy, 0);
  };
  const hears = async (page: AnyPage, userId: string): Promise<number> => {
    const before = await heard(page, userId);
    return until(async () => (await heard(page, userId)) > before, LIMIT_MS);
  };

  describe('Only the own address: Firefox and Chromium', () => {
    it('lets each see and hear the other, through the own instance only', async () => {
      [anna, bert] = await Promise.all([
        firefox.logIn(fox, pair.hamburg, 'anna', 'demo'),
        logIn(chromium, pair.luebeck.url, 'bert', 'demo'),
      ]);
      await createMeeting(bert, 'Two browsers', [annaId]);
      await enter(bert);
      await firefox.accept(anna);
      await Promise.all([seesMoving(bert, annaId, LIMIT_MS), seesMoving(anna, bertId, LIMIT_MS)]);
      await Promise.all([hears(bert, annaId), hears(anna, bertId)]);
      const addresses = [pair.hamburg.mediaAddress, pair.hamburg.lanAddress];
      const { pairs } = await stats(anna);
      expect(pairs.length).toBeGreaterThan(0);
      for (const { remoteAddress } of pairs) expect(addresses).toContain(remoteAddress);
    });
  });

  it('shows a picture that moves for as long as it moves', async () => {
    await until(async () => (await inFirefox(bertId, 'data-state')) === 'picture', LIMIT_MS);
    await until(async () => (await inChromium(annaId, 'data-state')) === 'picture', LIMIT_MS);
    const seen = { firefox: 0, chromium: 0, looks: 0 };
    for (const end = Date.now() + WATCHED_MS; Date.now() < end; await bert.waitForTimeout(250)) {
      seen.looks += 1;
      if ((await inFirefox(bertId, 'data-state')) === 'picture') seen.firefox += 1;
      if ((await inChromium(annaId, 'data-state')) === 'picture') seen.chromium += 1;
    }
    // A busy machine may bring no picture for a moment; without any sign of life there is none for most of the time.
    expect(seen.firefox / seen.looks).toBeGreaterThan(0.8);
    expect(seen.chromium / seen.looks).toBeGreaterThan(0.8);
    await until(async () => (await firefox.count(anna, `${tile(bertId)} video.hidden`)) === 0, LIMIT_MS);
  });

  it('sends all layers of a camera from Firefox', async () => {
    const { layers } = await anna.evaluate(() =>
      (
        globalThis as unknown as { hansetagDiagnostics: { stats(): Promise<{ layers: { bytesSent: number }[] }> } }
      ).hansetagDiagnostics.stats(),
    );
    expect(layers.length).toBeGreaterThan(1);
  });

  it('shares a screen from Firefox, and says there that its sound is not sent', async () => {
    await firefox.press(anna, 'share');
    await firefox.appears(anna, 'sharing-banner');
    await firefox.appears(anna, 'sharing-silent');
    const said = await firefox.text(anna, '[data-testid=sharing-silent]');
    expect(said).toContain('this browser cannot share it');
    await until(async () => (await inChromium(annaId, 'data-state', 'screen')) === 'picture', LIMIT_MS);
    await firefox.press(anna, 'stop-sharing');
    await until(async () => (await bert.locator(tile(annaId, 'screen')).count()) === 0, LIMIT_MS);
  });

  it('shares a screen with its sound from Chromium, both for as long as the other', async () => {
    await bert.evaluate(`{
      // Where there is no screen to choose, a drawn one is shared, with a tone.
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
      const pen = canvas.getContext('2d');
      let drawn = 0;
      setInterval(() => {
        pen.fillStyle = ['#ffffff', '#0b5563'][(drawn += 1) % 2];
        pen.fillRect(0, 0, 640, 360);
      }, 200);
      navigator.mediaDevices.getDisplayMedia = async () => {
        const tone = new OscillatorNode(new AudioContext());
        const out = tone.context.createMediaStreamDestination();
        tone.connect(out);
        tone.start();
        const picture = canvas.captureStream(5);
        globalThis.shared = new MediaStream([...picture.getTracks(), ...out.stream.getTracks()]);
        return globalThis.shared;
      };
    }`);
    const tracks = (): Promise<string[]> =>
      bert.evaluate<string[]>('globalThis.shared.getTracks().map(({ readyState }) => readyState)');
    const sounds = (): Promise<number> => firefox.count(anna, `audio[data-participant-id^="${bertId}"]`);
    await bert.getByTestId('share').click();
    await until(async () => (await inFirefox(bertId, 'data-state', 'screen')) === 'picture', LIMIT_MS);
    await until(async () => (await sounds()) === 2, LIMIT_MS);
    expect(await tracks()).toEqual(['live', 'live']);
    await bert.getByTestId('stop-sharing').click();
    await until(async () => (await firefox.count(anna, tile(bertId, 'screen'))) === 0, LIMIT_MS);
    await until(async () => (await sounds()) === 1, LIMIT_MS);
    expect(await tracks()).toEqual(['ended', 'ended']);
  });

  it('sends picture and sound of a shared screen again after the SFU was started anew', async () => {
    const sounds = (): Promise<number> => firefox.count(anna, `audio[data-participant-id^="${bertId}"]`);
    await bert.getByTestId('share').click();
    await until(async () => (await sounds()) === 2, LIMIT_MS);
    const all = `audio[data-participant-id^="${bertId}"]`;
    await firefox.mark(anna, all, 'data-before');
    pair.luebeck.sfu.kill('SIGKILL');
    await until(async () => (await firefox.count(anna, `${all}:not([data-before])`)) === 2, LIMIT_MS);
    await until(async () => (await inFirefox(bertId, 'data-state', 'screen')) === 'picture', LIMIT_MS);
    await bert.getByTestId('stop-sharing').click();
    await until(async () => (await sounds()) === 1, LIMIT_MS);
  });

  it('mutes and unmutes from either side', async () => {
    const muted = (page: 'fox' | 'chromium', userId: string): Promise<boolean> => {
      const selector = `${tile(userId)} ht-icon.muted`;
      return page === 'fox'
        ? firefox.count(anna, selector).then((found) => found > 0)
        : bert
            .locator(selector)
            .count()
            .then((found) => found > 0);
    };
    await firefox.press(anna, 'mute');
    await bert.getByTestId('mute').click();
    await until(() => muted('chromium', annaId), LIMIT_MS);
    await until(() => muted('fox', bertId), LIMIT_MS);
    await firefox.press(anna, 'mute');
    await bert.getByTestId('mute').click();
    await until(async () => !(await muted('chromium', annaId)), LIMIT_MS);
    await until(async () => !(await muted('fox', bertId)), LIMIT_MS);
    await Promise.all([hears(bert, annaId), hears(anna, bertId)]);
  });

  it('comes back by a reload of Firefox', async () => {
    await anna.reload();
    await firefox.passLobby(anna);
    await Promise.all([seesMoving(bert, annaId, LIMIT_MS), seesMoving(anna, bertId, LIMIT_MS)]);
    await until(async () => (await inFirefox(bertId, 'data-state')) === 'picture', LIMIT_MS);
    expect(await bert.locator(tile(annaId)).count()).toBe(1);
  });

  it('shows within seconds that Firefox has left', async () => {
    await firefox.press(anna, 'leave');
    await until(async () => (await bert.locator(tile(annaId)).count()) === 0, LIMIT_MS);
    await firefox.appears(anna, 'new-meeting');
  });
});

describe('Two browsers, one plain truth: Firefox at a media server that is reached by loopback only', () => {
  const lacks = firefox.firefoxLacks();
  let pair: Pair;
  let fox: Firefox;

  beforeAll(async () => {
    if (lacks !== undefined) return;
    pair = await startPair();
    fox = await firefox.launchFirefox();
  });

  afterAll(async () => {
    if (lacks !== undefined) return;
    await fox.close();
    await pair.close();
  });

  it('says in words that there is no media, why, and what to do', async () => {
    if (lacks !== undefined) pending(lacks);
    const page = await firefox.logIn(fox, pair.luebeck, 'bert', 'demo');
    await firefox.press(page, 'new-meeting');
    await page.locator('[data-testid=meeting-title]').fill('Alone');
    await firefox.press(page, 'create-meeting');
    await firefox.enter(page);
    const began = Date.now();
    await firefox.appears(page, 'blocked-banner', TOLD_MS);
    console.log(`  told ${String(Date.now() - began)} ms after the entry`);
    const banner = '[data-testid=blocked-banner]';
    const [cause, text] = [await firefox.attribute(page, banner, 'data-cause'), await firefox.text(page, banner)];
    expect(cause).toBe('loopback');
    expect(text).toContain('npm start -- --lan');
    await firefox.press(page, 'connections-toggle');
    await firefox.appears(page, 'own-blocked');
  });
});
