/** What happens to the servers: lines that are cut, and processes that are killed. All of it is over at the end. */
import type { Journal } from './journal.ts';
import type { LineState } from './lines.ts';
import { Random } from './random.ts';
import type { SoakServers } from './servers.ts';

export interface Troubles {
  readonly cuts: number;
  readonly kills: number;
}

type Count = (details: Readonly<Record<string, unknown>>) => void;

const CUT_MS = { least: 1_000, most: 15_000 };
const BETWEEN_CUTS_MS = { least: 1_000, most: 8_000 };
const DEAD_MS = { least: 0, most: 8_000 };
const BETWEEN_KILLS_MS = { least: 8_000, most: 25_000 };
const BOTH_WAYS = 0.5;

/** Makes trouble until the time is over; then all lines are open and all servers run. */
export async function trouble(all: SoakServers, seed: number, until: number, journal: Journal): Promise<Troubles> {
  const counts = { cuts: 0, kills: 0 };
  await Promise.all([
    cutLines(all, new Random(seed, 'cuts'), until, (details) => {
      counts.cuts += 1;
      journal.note(details);
    }),
    killServers(all, new Random(seed, 'kills'), until, journal, (details) => {
      counts.kills += 1;
      journal.note(details);
    }),
  ]);
  return counts;
}

async function cutLines(all: SoakServers, random: Random, until: number, count: Count): Promise<void> {
  const numbers = all.servers.map((_, index) => index);
  const healing: Promise<void>[] = [];
  const ends = new Map<string, number>();
  while (Date.now() < until) {
    const from = random.of(numbers);
    const to = random.of(numbers.filter((number) => number !== from));
    const ways = random.chance(BOTH_WAYS) ? [[from, to] as const, [to, from] as const] : [[from, to] as const];
    const state: LineState = random.chance(0.5) ? 'refused' : 'stalled';
    const lasts = random.whole(CUT_MS.least, CUT_MS.most);
    const end = Math.min(Date.now() + lasts, until);
    count({ cut: ways, state, ms: end - Date.now() });
    for (const way of ways) {
      // The later end counts when a line is cut again while it is.
      ends.set(way.join(), Math.max(end, ends.get(way.join()) ?? 0));
      all.line(...way).set(state);
      healing.push(
        pause(end - Date.now()).then(() => {
          if ((ends.get(way.join()) ?? 0) <= end) all.line(...way).set('open');
        }),
      );
    }
    await pause(Math.min(random.whole(BETWEEN_CUTS_MS.least, BETWEEN_CUTS_MS.most), until - Date.now()));
  }
  await Promise.all(healing);
  for (const from of numbers) for (const to of numbers) if (from !== to) all.line(from, to).set('open');
}

async function killServers(
  all: SoakServers,
  random: Random,
  until: number,
  journal: Journal,
  count: Count,
): Promise<void> {
  for (;;) {
    const wait = random.whole(BETWEEN_KILLS_MS.least, BETWEEN_KILLS_MS.most);
    const server = random.of(all.servers);
    const dead = random.whole(DEAD_MS.least, DEAD_MS.most);
    if (Date.now() + wait >= until) return pause(until - Date.now());
    await pause(wait);
    count({ killed: server.name, ms: dead });
    await server.kill();
    await pause(dead);
    await server.start();
    journal.note({ started: server.name });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(ms, 0)));
}
