/**
 * The link between two media servers, counted and disturbed by the kernel: nftables rules on the way between the two
 * organisations' addresses, in a network of this test's own.
 */
import { execFileSync } from 'node:child_process';
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, logIn } from './browser.ts';
import { accept, createMeeting, enter, framesOf, matrixId, seesMoving, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

const MEASURED_MS = 6_000;
const LOSSY_MS = 25_000;
const TABLE = 'inet hansetag_spec';

describe('One stream per link: the link between two organisations', () => {
  let pair: Pair;
  let browser: Browser;
  let bert: Page;
  let colleague: Page;
  let hamburg: Page[];
  let bertId: string;

  beforeAll(async () => {
    if (process.env['HANSETAG_SPEC_NETWORK'] !== 'own') return;
    pair = await startPair();
    browser = await launchBrowser();
    bertId = matrixId(pair.luebeck, 'bert');
    const other = pair.luebeck.people.find((person) => person.user !== 'bert');
    if (!other) throw new Error('There is nobody else in Lübeck.');
    const guests = pair.hamburg.people;
    hamburg = [];
    for (const person of guests) hamburg.push(await logIn(browser, pair.hamburg.url, person.user, 'demo'));
    colleague = await logIn(browser, pair.luebeck.url, other.user, 'demo');
    bert = await logIn(browser, pair.luebeck.url, 'bert', 'demo');
    await createMeeting(bert, 'Measured', [other.matrixId, ...guests.map((person) => person.matrixId)]);
    await enter(bert);
  });

  afterAll(async () => {
    if (process.env['HANSETAG_SPEC_NETWORK'] !== 'own') return;
    await browser.close();
    await pair.close();
  });

  beforeEach(() => {
    if (process.env['HANSETAG_SPEC_NETWORK'] !== 'own') {
      pending('needs a network of its own: root, unshare, ip and nft');
    }
  });

  /** Rules for what Lübeck sends to Hamburg, until `clear`. */
  function rule(action: string): void {
    const match = `ip saddr ${pair.luebeck.mediaAddress} ip daddr ${pair.hamburg.mediaAddress} meta l4proto udp`;
    nft(`add table ${TABLE}`);
    nft(`add chain ${TABLE} way { type filter hook input priority 0 ; }`);
    nft(`add rule ${TABLE} way ${match} ${action}`);
  }
  /** Ends the rules. @returns what they have counted */
  function clear(): { packets: number; bytes: number } {
    const listed = execFileSync('nft', ['-j', 'list', 'table', ...TABLE.split(' ')], { encoding: 'utf8' });
    nft(`delete table ${TABLE}`);
    const counted = (what: string): number => Number(new RegExp(`"${what}": ?([0-9]+)`).exec(listed)?.[1] ?? NaN);
    return { packets: counted('packets'), bytes: counted('bytes') };
  }

  /** Bytes that Lübeck sends to Hamburg by UDP. */
  async function bytesOnLink(): Promise<number> {
    rule('counter');
    await bert.waitForTimeout(MEASURED_MS);
    return clear().bytes;
  }

  /** Comes in without camera and microphone, so that nothing but what is measured goes over the link. */
  async function watch(page: Page): Promise<void> {
    await page.getByTestId('accept-invitation').click();
    await page.getByTestId('join-meeting').waitFor();
    if (!page.url().includes('/lobby')) await page.getByTestId('join-meeting').first().click();
    await page.getByTestId('lobby-join-silent').click();
    await page.getByTestId('leave').waitFor();
    await seesMoving(page, bertId, 15_000);
  }

  it('carries a camera once for three viewers, and not at all for none', async () => {
    const none = await bytesOnLink();
    const [first, ...others] = hamburg;
    if (!first) throw new Error('Nobody of Hamburg is here.');
    await watch(first);
    await first.waitForTimeout(4_000);
    const one = await bytesOnLink();
    for (const page of others) await watch(page);
    expect(others.length).toBe(2);
    await first.waitForTimeout(2_000);
    const three = await bytesOnLink();
    for (const page of others) await page.getByTestId('leave').click();
    console.log(`  bytes in ${MEASURED_MS} ms: no viewer ${none}, one ${one}, three ${three}`);
    expect(none).toBe(0);
    expect(one).toBeGreaterThan(100_000);
    expect(three / one).toBeLessThan(1.15);
  });

  it('hides a loss of 2 % nearly, and of 5 % well, from those behind it', async () => {
    await accept(colleague);
    await seesMoving(colleague, bertId, 15_000);
    const [behind] = hamburg;
    if (!behind) throw new Error('Nobody of Hamburg is here.');
    for (const [percent, share] of [
      [2, 0.95],
      [5, 0.8],
    ] as const) {
      rule(`numgen random mod 100 < ${String(percent)} counter drop`);
      await behind.waitForTimeout(1_000);
      const before = await Promise.all([framesOf(behind, bertId), framesOf(colleague, bertId)]);
      await behind.waitForTimeout(LOSSY_MS);
      const after = await Promise.all([framesOf(behind, bertId), framesOf(colleague, bertId)]);
      const { packets } = clear();
      const [lossy, whole] = [after[0] - before[0], after[1] - before[1]];
      console.log(
        `  ${String(percent)} % loss (${String(packets)} packets): ${String(lossy)} frames, without loss ${String(whole)}`,
      );
      expect(packets).toBeGreaterThan(10);
      expect(whole).toBeGreaterThan(200);
      expect(lossy / whole).toBeGreaterThanOrEqual(share);
      await behind.waitForTimeout(2_000);
    }
  });
});

function nft(command: string): void {
  execFileSync('nft', command.split(' '));
}
