/** What leaves this computer, when it does, and what is said when it cannot. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { freeBasePort } from '../../deploy/quickstart/layout.ts';
import { startOrganisations } from '../../deploy/quickstart/start.ts';
import type { Demo } from '../../deploy/quickstart/start.ts';
import { launchBrowser, logIn, until } from './browser.ts';
import { accept, createMeeting, enter, matrixId, seesMoving } from './meeting.ts';
import type { Organisation } from './meeting.ts';

const TABLE = 'inet hansetag_spec_media';
const TOLD_MS = 10_000;
/** For what takes a second on a free machine. */
const LIMIT_MS = 60_000;
/** Servers and log-ins on a machine that does much else. */
const SET_UP_MS = 400_000;

describe('The own camera, microphone and screen', () => {
  let folder: string;
  let demo: Demo;
  let luebeck: Organisation;
  let browser: Browser;
  let bert: Page;
  let clara: Page;
  let bertId: string;
  let claraId: string;

  beforeAll(async () => {
    folder = await mkdtemp('/tmp/hansetag-e2e-');
    await chmod(folder, 0o755);
    demo = await startOrganisations({
      only: ['luebeck'],
      basePort: await freeBasePort(),
      dataDir: join(folder, 'data'),
    });
    const [only] = demo.organisations;
    if (!only) throw new Error('Lübeck was not started.');
    luebeck = only;
    browser = await launchBrowser();
    bertId = matrixId(luebeck, 'bert');
    claraId = matrixId(luebeck, 'clara');
    [clara, bert] = await Promise.all([
      logIn(browser, luebeck.url, 'clara', 'demo'),
      logIn(browser, luebeck.url, 'bert', 'demo'),
    ]);
    // A screen that is chosen when the spec says so: a drawn picture, and a tone.
    await bert.evaluate(`{
      globalThis.captured = [];
      globalThis.asked = 0;
      const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
      setInterval(() => canvas.getContext('2d').fillRect(0, 0, Math.random() * 320, 180), 100);
      navigator.mediaDevices.getDisplayMedia = async () => {
        globalThis.asked += 1;
        await new Promise((choose) => (globalThis.choose = choose));
        const out = new AudioContext().createMediaStreamDestination();
        const stream = new MediaStream([...canvas.captureStream(10).getTracks(), ...out.stream.getTracks()]);
        globalThis.captured.push(...stream.getTracks());
        return stream;
      };
    }`);
    await createMeeting(bert, 'Own media', [claraId]);
    await enter(bert);
    await accept(clara);
    await seesMoving(clara, bertId, LIMIT_MS);
  }, SET_UP_MS);

  afterAll(async () => {
    await browser.close();
    await demo.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const captured = (): Promise<string[]> =>
    bert.evaluate<string[]>('captured.map(({ kind, readyState }) => kind + " " + readyState).sort()');
  const choose = (): Promise<void> => bert.evaluate('globalThis.choose()');
  const asked = (): Promise<number> => bert.evaluate<number>('asked');
  const screens = (): Promise<number> => clara.locator('[data-testid=tile][data-source=screen]').count();

  it('ask once for a screen, however often the button is pressed, and end it with its sound', async () => {
    await bert.getByTestId('share').click();
    await bert.getByTestId('share').click();
    expect(await asked()).toBe(1);
    await choose();
    await until(async () => (await screens()) === 1, LIMIT_MS);
    await bert.getByTestId('sharing-banner').waitFor();
    expect(await bert.getByTestId('sharing-silent').count()).toBe(0);
    expect(await captured()).toEqual(['audio live', 'video live']);
    await bert.getByTestId('stop-sharing').click();
    await until(async () => (await screens()) === 0, LIMIT_MS);
    expect(await captured()).toEqual(['audio ended', 'video ended']);
    expect(await bert.getByTestId('sharing-banner').count()).toBe(0);
  });

  it('do not send a screen that is chosen after the meeting was left, not into the next one either', async () => {
    await bert.getByTestId('share').click();
    await until(async () => (await asked()) === 2, LIMIT_MS);
    await bert.getByTestId('leave').click();
    await bert.getByTestId('new-meeting').waitFor();
    await choose();
    await until(async () => (await captured()).length === 4, LIMIT_MS);
    expect(await captured()).toEqual(['audio ended', 'audio ended', 'video ended', 'video ended']);
    await bert.getByTestId('join-meeting').first().click();
    await bert.getByTestId('lobby-join-silent').click();
    await bert.getByTestId('leave').waitFor();
    await clara.waitForTimeout(2_000);
    expect(await screens()).toBe(0);
    expect(await bert.getByTestId('sharing-banner').count()).toBe(0);
  });

  it('send nothing after the computer was asleep before the person says so', async () => {
    const on = (what: string): Promise<string | null> => bert.getByTestId(what).getAttribute('data-on');
    for (const what of ['mute', 'camera']) await bert.getByTestId(what).click();
    await seesMoving(clara, bertId, LIMIT_MS);
    // An hour in which no timer ran.
    await bert.evaluate('{ const now = Date.now; Date.now = () => now() + 3_600_000; }');
    await bert.getByTestId('slept-banner').waitFor({ timeout: LIMIT_MS });
    expect([await on('mute'), await on('camera')]).toEqual(['false', 'false']);
    const tile = clara.locator(`[data-testid=tile][data-participant-id^="${bertId}"]`);
    await until(async () => (await tile.getAttribute('data-state')) === 'camera-off', LIMIT_MS);
    await bert.getByTestId('slept-on').click();
    await until(async () => (await on('mute')) === 'true' && (await on('camera')) === 'true', LIMIT_MS);
    expect(await bert.getByTestId('slept-banner').count()).toBe(0);
    await seesMoving(clara, bertId, LIMIT_MS);
  });

  it('say within seconds that nothing gets through from this computer, and no more when it does', async () => {
    if (process.env['HANSETAG_SPEC_NETWORK'] !== 'own') {
      pending('needs a network of its own: root, unshare, ip and nft');
    }
    // Bert comes anew; what Clara has open goes on at first.
    await bert.reload();
    await bert.getByTestId('lobby-join').waitFor();
    const ports = `${String(luebeck.webRtcPort)}-${String(luebeck.webRtcPort + luebeck.workers - 1)}`;
    nft(`add table ${TABLE}`);
    nft(`add chain ${TABLE} way { type filter hook input priority 0 ; }`);
    nft(`add rule ${TABLE} way udp sport { ${openUdpPorts().join(', ')} } accept`);
    for (const protocol of ['udp', 'tcp']) nft(`add rule ${TABLE} way ${protocol} dport ${ports} drop`);
    await bert.getByTestId('lobby-join').click();
    await bert.getByTestId('mute').waitFor();
    const entered = Date.now();
    const banner = (page: Page) => page.getByTestId('blocked-banner');
    await banner(bert).waitFor({ timeout: TOLD_MS });
    console.log(`  told ${String(Date.now() - entered)} ms after the entry`);
    expect(await banner(bert).getAttribute('data-cause')).toBe('no-route');
    const tile = bert.locator(`[data-testid=tile][data-participant-id^="${claraId}"]`);
    await until(async () => (await tile.getAttribute('data-state')) === 'own-line', LIMIT_MS);
    await bert.getByTestId('connections-toggle').click();
    await bert.getByTestId('own-blocked').waitFor();
    expect(await banner(clara).count()).toBe(0);
    nft(`flush chain ${TABLE} way`);
    for (const protocol of ['udp', 'tcp']) nft(`add rule ${TABLE} way ${protocol} dport ${ports} drop`);
    const began = Date.now();
    await banner(clara).waitFor({ timeout: LIMIT_MS });
    console.log(`  told ${String(Date.now() - began)} ms after the cut, with the time that ICE takes to notice`);
    expect(await banner(clara).getAttribute('data-cause')).toBe('lost');
    nft(`delete table ${TABLE}`);
    for (const page of [bert, clara]) await banner(page).waitFor({ state: 'detached', timeout: LIMIT_MS });
    await Promise.all([seesMoving(bert, claraId, LIMIT_MS), seesMoving(clara, bertId, LIMIT_MS)]);
    expect(await bert.getByTestId('own-blocked').count()).toBe(0);
  });
});

/** Ports of this network that somebody sends from or listens at. */
function openUdpPorts(): string[] {
  const sockets = execFileSync('ss', ['-H', '-u', '-a', '-n'], { encoding: 'utf8' });
  const ports = sockets.split('\n').map((line) => /:(\d+)$/.exec(line.trim().split(/\s+/)[3] ?? '')?.[1]);
  return [...new Set(ports.filter((port) => port !== undefined))];
}

function nft(command: string): void {
  execFileSync('nft', command.split(' '));
}
