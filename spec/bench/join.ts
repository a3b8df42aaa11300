/**
 * Time from the click on "Join" to the first decoded picture of somebody else: `node spec/bench/join.ts [joins]`.
 *
 * Two organisations as `npm start` starts them, Chromium with fake devices. Bert of Lübeck is in a meeting with camera
 * and microphone. In each round three joins follow each other, so that a busy machine hits all alike: a bare
 * RTCPeerConnection between two pages, a colleague of Lübeck (local), a person of Hamburg (federated). Each join
 * begins with a freshly loaded page, and ends with nobody but Bert in the meeting: no link is open between the
 * organisations when the person of Hamburg clicks. The last line is JSON.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, cpus } from 'node:os';
import type { Browser, Page } from 'playwright-core';
import { WebSocketServer } from 'ws';
import { launchBrowser, logIn } from '../e2e/browser.ts';
import { createMeeting, enter, seesMoving, startPair } from '../e2e/meeting.ts';

const JOINS = Number(process.argv[2] ?? 25);
/** The first rounds warm caches of the servers and are not counted. */
const WARM_UP_ROUNDS = 2;
/** Somebody in the lobby looks at the picture before the click, in ms. */
const LOBBY_MS = 1_000;
/** After a join the place of the one who left is given up and links are closed, in ms. */
const REST_MS = 1_500;
const LIMIT_MS = 20_000;
const BARE_PAGE = new URL('./join-bare.html', import.meta.url);

/** Milliseconds of a join from the click on. */
interface Join {
  readonly firstFrame: number;
  /** Further moments on the way that the client has noted. */
  readonly steps: ReadonlyMap<string, number>;
}

interface Case {
  readonly name: 'bare' | 'local' | 'federated';
  readonly joins: Join[];
  join(): Promise<Join>;
}

async function main(): Promise<void> {
  const pair = await startPair();
  const bare = await serveBare();
  const browser = await launchBrowser();
  try {
    const person = (organisation: typeof pair.luebeck, not?: string): string => {
      const found = organisation.people.find(({ user }) => user !== not);
      if (!found) throw new Error(`There is nobody in ${organisation.name}.`);
      return found.user;
    };
    const colleague = await logIn(browser, pair.luebeck.url, person(pair.luebeck, 'bert'), 'demo');
    const guest = await logIn(browser, pair.hamburg.url, person(pair.hamburg), 'demo');
    const ids = [
      ...pair.luebeck.people.filter(({ user }) => user === person(pair.luebeck, 'bert')),
      ...pair.hamburg.people.filter(({ user }) => user === person(pair.hamburg)),
    ].map(({ matrixId }) => matrixId);
    const bert = await logIn(browser, pair.luebeck.url, 'bert', 'demo');
    await createMeeting(bert, 'Measured', ids);
    await enter(bert);
    for (const page of [colleague, guest]) {
      await page.getByTestId('accept-invitation').click();
      await page.getByTestId('join-meeting').waitFor();
    }
    const bertId = pair.luebeck.people.find(({ user }) => user === 'bert')?.matrixId ?? '';
    const bares = await openBarePages(browser, bare.url);
    const cases: Case[] = [
      { name: 'bare', joins: [], join: () => joinBare(bares) },
      { name: 'local', joins: [], join: () => joinMeeting(colleague, pair.luebeck.url, bertId) },
      { name: 'federated', joins: [], join: () => joinMeeting(guest, pair.hamburg.url, bertId) },
    ];
    for (let round = -WARM_UP_ROUNDS; round < JOINS; round += 1) {
      for (let i = 0; i < cases.length; i += 1) {
        const each = cases[(round + WARM_UP_ROUNDS + i) % cases.length];
        if (!each) continue;
        const join = await each.join();
        if (round >= 0) each.joins.push(join);
        const steps = [...join.steps].map(([name, at]) => `${name} ${at.toFixed(0)}`).join(', ');
        process.stderr.write(
          `${round < 0 ? 'warm-up' : `join ${round + 1}/${JOINS}`} ${each.name.padEnd(9)} ` +
            `${join.firstFrame.toFixed(0)} ms${steps === '' ? '' : ` (${steps})`}\n`,
        );
        await new Promise((resolve) => setTimeout(resolve, REST_MS));
      }
    }
    report(cases);
  } finally {
    await browser.close();
    await bare.close();
    await pair.close();
  }
}

function report(cases: readonly Case[]): void {
  const of = (name: Case['name']): number[] =>
    (cases.find((each) => each.name === name)?.joins ?? []).map(({ firstFrame }) => firstFrame);
  const [bare, local, federated] = [of('bare'), of('local'), of('federated')];
  const ratio = (values: number[]): number => Math.round((100 * quantile(values, 0.5)) / quantile(bare, 0.5)) / 100;
  const result = {
    bench: 'join',
    joins_each: JOINS,
    cpu: cpus()[0]?.model ?? '',
    cores: availableParallelism(),
    baseline_bare_peer_connection_median_ms: Math.round(quantile(bare, 0.5)),
    baseline_bare_peer_connection_p95_ms: Math.round(quantile(bare, 0.95)),
    local_median_ms: Math.round(quantile(local, 0.5)),
    local_p95_ms: Math.round(quantile(local, 0.95)),
    local_ratio: ratio(local),
    federated_median_ms: Math.round(quantile(federated, 0.5)),
    federated_p95_ms: Math.round(quantile(federated, 0.95)),
    federated_ratio: ratio(federated),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** From the home page into the meeting of the only card, until a picture of `other` is there, and out again. */
async function joinMeeting(page: Page, url: string, other: string): Promise<Join> {
  await page.goto(`${url}/en/`);
  await page.getByTestId('join-meeting').first().click();
  await page.getByTestId('lobby-join').waitFor();
  await ownPicture(page);
  await page.waitForTimeout(LOBBY_MS);
  await page.getByTestId('lobby-join').click();
  const marks = await page.waitForFunction(
    () => {
      const { marks } =
        (globalThis as unknown as { hansetagDiagnostics?: { marks: Record<string, number> } }).hansetagDiagnostics ??
        {};
      return marks?.['firstRemoteFrame'] === undefined ? undefined : { ...marks };
    },
    undefined,
    { timeout: LIMIT_MS },
  );
  const moments = new Map(Object.entries((await marks.jsonValue()) ?? {}));
  // The picture must be of the person, and go on.
  await seesMoving(page, other, LIMIT_MS);
  await page.getByTestId('leave').click();
  const click = moments.get('joinClick') ?? NaN;
  const steps = [...moments]
    .filter(([name]) => name !== 'joinClick' && name !== 'firstRemoteFrame' && name !== 'firstRemoteAudio')
    .map(([name, at]): [string, number] => [name, at - click])
    .sort(([, a], [, b]) => a - b);
  return { firstFrame: (moments.get('firstRemoteFrame') ?? NaN) - click, steps: new Map(steps) };
}

async function ownPicture(page: Page): Promise<void> {
  await page.locator('video').first().waitFor({ state: 'attached', timeout: LIMIT_MS });
  // Not `getVideoPlaybackQuality`: Firefox counts files only.
  await page.evaluate(`new Promise((shown) => {
    let frames = 0;
    const video = document.querySelector('video');
    const next = () => ((frames += 1) > 3 ? shown() : video.requestVideoFrameCallback(next));
    video.requestVideoFrameCallback(next);
  })`);
}

// ---- the bare connection ----

interface BarePages {
  readonly there: Page;
  readonly joining: Page;
  readonly url: string;
}

/** A page and a WebSocket that hands on each message to everybody else, on loopback. */
async function serveBare(): Promise<{ url: string; close(): Promise<void> }> {
  const html = await readFile(BARE_PAGE);
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      for (const other of sockets.clients) if (other !== socket) other.send(data, { binary: isBinary });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}/`,
    close: async () => {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.close();
      await once(server, 'close');
    },
  };
}

async function openBarePages(browser: Browser, url: string): Promise<BarePages> {
  const [there, joining] = await Promise.all(
    [0, 1].map(async () => (await browser.newContext({ permissions: ['camera', 'microphone'] })).newPage()),
  );
  if (!there || !joining) throw new Error('The browser has not opened its pages.');
  return { there, joining, url };
}

async function joinBare({ there, joining, url }: BarePages): Promise<Join> {
  for (const page of [there, joining]) {
    await page.goto(`${url}${page === there ? '#there' : ''}`);
    await page.reload();
    await ownPicture(page);
  }
  await joining.waitForTimeout(LOBBY_MS);
  await joining.getByText('Join').click();
  const firstFrame = await joining.waitForFunction(
    () => (globalThis as unknown as { tookMs?: number }).tookMs,
    undefined,
    { timeout: LIMIT_MS },
  );
  const took = (await firstFrame.jsonValue()) ?? NaN;
  for (const page of [there, joining]) await page.goto('about:blank');
  return { firstFrame: took, steps: new Map() };
}

/** Linear between the neighbours. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = part * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(place)] ?? NaN, sorted[Math.ceil(place)] ?? NaN];
  return below + (above - below) * (place - Math.floor(place));
}

await main();
