/** Two organisations meet, as `npm start` starts them, in real browsers. */
import { mkdtemp, rm, chmod } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { freeBasePort } from '../../deploy/quickstart/layout.ts';
import { startOrganisations } from '../../deploy/quickstart/start.ts';
import type { Demo } from '../../deploy/quickstart/start.ts';
import { launchBrowser, logIn, openPage, passLobby, stats, until } from './browser.ts';

describe('Federated meeting: two organisations', () => {
  let folder: string;
  let demo: Demo;
  let browser: Browser;
  let bert: Page;
  let anna: Page;

  function organisation(key: 'luebeck' | 'hamburg'): Demo['organisations'][number] {
    const found = demo.organisations.find((one) => one.key === key);
    if (!found) throw new Error(`${key} was not started.`);
    return found;
  }

  beforeAll(async () => {
    folder = await mkdtemp('/tmp/hansetag-e2e-');
    await chmod(folder, 0o755);
    demo = await startOrganisations({ basePort: await freeBasePort(), dataDir: join(folder, 'data') });
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser.close();
    await demo.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('is found on the dashboard of somebody whom another organisation invited', async () => {
    [bert, anna] = await Promise.all([
      logIn(browser, organisation('luebeck').url, 'bert', 'demo'),
      logIn(browser, organisation('hamburg').url, 'anna', 'demo'),
    ]);
    await bert.getByTestId('new-meeting').click();
    await bert.locator('[data-testid=meeting-title]:focus').waitFor();
    await bert.getByTestId('meeting-title').fill('Harbour round');
    const annaId = organisation('hamburg').people.find((person) => person.user === 'anna')?.matrixId ?? '';
    await bert.getByTestId('meeting-invite').fill(annaId);
    await bert.getByTestId('create-meeting').click();
    await anna.getByTestId('invitation-card').waitFor();
    expect(await anna.getByTestId('invitation-card').textContent()).toContain('Harbour round');
    await anna.getByTestId('accept-invitation').click();
    await anna.getByTestId('join-meeting').waitFor();
  });

  describe('Only the own address: the browsers of two organisations', () => {
    it('shows and lets hear each the other, through the own instance only', async () => {
      for (const page of [bert, anna]) {
        if (!page.url().includes('/lobby')) await page.getByTestId('join-meeting').first().click();
        await passLobby(page);
      }
      for (const page of [bert, anna]) await until(async () => (await stats(page)).videos.length === 1, 10_000);
      const before = await Promise.all([stats(bert), stats(anna)]);
      await bert.waitForTimeout(5_000);
      const after = await Promise.all([stats(bert), stats(anna)]);
      for (const [index, later] of after.entries()) {
        const earlier = before[index];
        expect((later.videos[0]?.framesDecoded ?? 0) - (earlier?.videos[0]?.framesDecoded ?? 0)).toBeGreaterThan(40);
        expect(later.audios[0]?.totalAudioEnergy ?? 0).toBeGreaterThan(earlier?.audios[0]?.totalAudioEnergy ?? 0);
      }
      for (const [key, figures] of [
        ['luebeck', after[0]],
        ['hamburg', after[1]],
      ] as const) {
        expect(figures.pairs.length).toBeGreaterThan(0);
        for (const pair of figures.pairs) expect(pair.remoteAddress).toBe(organisation(key).mediaAddress);
      }
    });
  });

  it('carries chat both ways', async () => {
    for (const page of [bert, anna]) await page.getByTestId('chat-toggle').click();
    await bert.getByTestId('chat-input').fill('Moin from Lübeck');
    await bert.getByTestId('chat-send').click();
    await anna.getByText('Moin from Lübeck').first().waitFor();
    await anna.getByTestId('chat-input').fill('Moin from Hamburg');
    await anna.getByTestId('chat-send').click();
    await bert.getByText('Moin from Hamburg').first().waitFor();
    expect(await bert.getByTestId('chat-message').count()).toBe(2);
  });

  it('shows a shared screen to the other organisation, for as long as it is shared', async () => {
    // Where there is no screen to choose, a drawn one is shared.
    await anna.evaluate(`{
      const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
      const pen = canvas.getContext('2d');
      let count = 0;
      setInterval(() => {
        pen.fillStyle = ['#ffffff', '#0b5563'][(count += 1) % 2];
        pen.fillRect(0, 0, 1280, 720);
      }, 100);
      navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(10);
    }`);
    await anna.getByTestId('share').click();
    const screen = bert.locator('[data-testid=tile][data-source=screen]');
    await until(
      async () => (await screen.count()) === 1 && (await screen.getAttribute('data-state')) === 'picture',
      15_000,
    );
    await anna.getByTestId('share').click();
    await until(async () => (await screen.count()) === 0, 5_000);
    expect((await stats(bert)).videos.length).toBe(1);
  });

  it('lets a guest in by link', async () => {
    const host = await bert.context().newPage();
    await host.goto(`${organisation('luebeck').url}/en/`);
    await host.getByTestId('make-link').first().click();
    const field = host.getByTestId('link-url');
    await field.waitFor();
    const link = await field.inputValue().catch(async () => (await field.textContent()) ?? '');
    const guest = await openPage(browser, link.trim());
    await guest.getByTestId('guest-name').fill('Gerda');
    await guest.getByTestId('guest-continue').click();
    await guest.getByTestId('lobby-join').waitFor();
    await passLobby(guest);
    await until(async () => (await stats(guest)).videos.length === 2, 15_000);
    await until(async () => (await stats(anna)).videos.length === 2, 15_000);
    await guest.context().close();
    await host.close();
    await until(
      async () => (await anna.locator('[data-testid=tile][data-participant-id*="guest-"]').count()) === 0,
      10_000,
    );
  });

  it('shows within a second that somebody has left', async () => {
    const bertTile = anna.locator('[data-testid=tile][data-participant-id^="@bert:"]');
    expect(await bertTile.count()).toBe(1);
    await bert.getByTestId('leave').click();
    const took = await until(async () => (await bertTile.count()) === 0, 5_000);
    expect(took).toBeLessThan(1_000);
  });
});
