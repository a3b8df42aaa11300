/** Steps of people in a meeting, for end-to-end specs. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { freeBasePort } from '../../deploy/quickstart/layout.ts';
import { startOrganisations } from '../../deploy/quickstart/start.ts';
import type { Demo, DemoOptions } from '../../deploy/quickstart/start.ts';
import { passLobby, stats, until } from './browser.ts';
import type { AnyPage } from './browser.ts';

export type Organisation = Demo['organisations'][number];

/** The two organisations, with data of their own. */
export interface Pair {
  readonly luebeck: Organisation;
  readonly hamburg: Organisation;
  /** Where all of their data is. */
  readonly dataDir: string;
  close(): Promise<void>;
}

export async function startPair(options: Pick<DemoOptions, 'lan' | 'pki' | 'env'> = {}): Promise<Pair> {
  const folder = await mkdtemp('/tmp/hansetag-e2e-');
  await chmod(folder, 0o755);
  const demo = await startOrganisations({
    ...options,
    basePort: await freeBasePort(),
    dataDir: join(folder, 'data'),
  });
  const named = (key: string): Organisation => {
    const found = demo.organisations.find((one) => one.key === key);
    if (!found) throw new Error(`${key} was not started.`);
    return found;
  };
  return {
    luebeck: named('luebeck'),
    hamburg: named('hamburg'),
    dataDir: demo.dataDir,
    close: async () => {
      await demo.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function matrixId(organisation: Organisation, user: string): string {
  const found = organisation.people.find((person) => person.user === user);
  if (!found) throw new Error(`There is no ${user} in ${organisation.name}.`);
  return found.matrixId;
}

/** Creates a meeting and stays on the page that shows it. */
export async function createMeeting(page: Page, title: string, invited: readonly string[]): Promise<void> {
  await page.getByTestId('new-meeting').click();
  await page.locator('[data-testid=meeting-title]:focus').waitFor();
  await page.getByTestId('meeting-title').fill(title);
  await page.getByTestId('meeting-invite').fill(invited.join(' '));
  await page.getByTestId('create-meeting').click();
}

/** Goes into the meeting from wherever the page is. */
export async function enter(page: Page): Promise<void> {
  if (!page.url().includes('/lobby')) await page.getByTestId('join-meeting').first().click();
  await passLobby(page);
}

/** Accepts the invitation that the page shows, and goes in. */
export async function accept(page: Page): Promise<void> {
  await page.getByTestId('accept-invitation').click();
  await page.getByTestId('join-meeting').waitFor();
  await enter(page);
}

/** Frames that a page has decoded of somebody, all in all. */
export async function framesOf(page: AnyPage, userId: string): Promise<number> {
  const { videos } = await stats(page);
  return videos
    .filter(({ participantId }) => participantId.startsWith(userId))
    .reduce((sum, { framesDecoded }) => sum + framesDecoded, 0);
}

/** Waits until new frames of somebody arrive. @returns the ms it took */
export async function seesMoving(page: AnyPage, userId: string, limitMs: number): Promise<number> {
  const before = await framesOf(page, userId);
  try {
    return await until(async () => {
      const now = await framesOf(page, userId);
      // A new consumer begins to count at 0.
      return now > before + 5 || (now < before && now > 5);
    }, limitMs);
  } catch (error) {
    const media = await stats(page);
    const shown = await page.evaluate(
      () => (globalThis as unknown as { document: { body: { innerText: string } } }).document.body.innerText,
    );
    throw new Error(`${userId} does not move: ${JSON.stringify(media)}; the page shows ${shown}`, { cause: error });
  }
}

/**
 * Looks for so many ms at what pages decode of the others.
 * @returns for each page the longest time in ms without anything new, of video or of sound, whichever was worse
 */
export async function silences(pages: readonly Page[], lastsMs: number): Promise<number[]> {
  const end = Date.now() + lastsMs;
  return Promise.all(
    pages.map(async (page) => {
      const streams = [0, 1].map(() => ({ count: -1, at: Date.now(), longest: 0 }));
      for (let now = Date.now(); now < end; now = Date.now()) {
        const { videos, audios } = await stats(page);
        const counts = [
          videos.reduce((sum, { framesDecoded }) => sum + framesDecoded, 0),
          audios.reduce((sum, { packetsReceived }) => sum + packetsReceived, 0),
        ];
        for (const [index, stream] of streams.entries()) {
          const count = counts[index] ?? 0;
          // What was made anew begins to count at 0, and then has brought nothing yet.
          if (count > stream.count || (count < stream.count && count > 0)) stream.at = Date.now();
          stream.count = count;
          stream.longest = Math.max(stream.longest, Date.now() - stream.at);
        }
        await page.waitForTimeout(40);
      }
      return Math.max(...streams.map(({ longest }) => longest));
    }),
  );
}
