/**
 * `npm run soak -- --seed N --minutes M [--seeds N] [--servers ours,ours,synapse] [--keep] [--record]`: three servers under
 * random use, while lines between them are cut and servers are killed; afterwards they must agree and have lost nothing.
 *
 * Every wish, cut and kill comes from the seed. With `--seeds`, so many seeds in a row are run, beginning with `--seed`.
 * One line of JSON for each seed; the exit code is 1 when a seed does not pass. What is needed to find out why is kept in
 * a folder then, with `--record` always; `--replay FOLDER` judges that again.
 */
import { parseArgs } from 'node:util';
import { acknowledge, found, live } from './actions.ts';
import type { Room, Town } from './actions.ts';
import { inRoom, register } from './client.ts';
import type { Person } from './client.ts';
import { compare, firstMember, hasGivenUp } from './compare.ts';
import type { Comparison } from './compare.ts';
import { EXCUSES } from './excuses.ts';
import { RoomGraph } from './graph.ts';
import { Journal } from './journal.ts';
import { Random } from './random.ts';
import { record } from './record.ts';
import { replay } from './replay.ts';
import { startServers } from './servers.ts';
import type { SoakServer, SoakServers } from './servers.ts';
import { isItsOwn } from './synapse-log.ts';
import { trouble } from './trouble.ts';
import type { Troubles } from './trouble.ts';

const PEOPLE_PER_SERVER = 3;
/**
 * As long as the servers may take to agree when all lines are open again, in ms, and so many comparisons at least; but
 * where people get no answers, these take long.
 */
const HEALING_MS = 120_000;
const LONGEST_HEALING_MS = 300_000;
const COMPARISONS = 10;
const BETWEEN_COMPARISONS_MS = 2_000;
/** Each so many comparisons something new is said in each room. */
const CLOSING_WORDS_EVERY = 4;
const SHOWN_DIFFERENCES = 40;

/** What came of a seed. */
interface Run {
  readonly seed: number;
  readonly minutes: number;
  troubles: Troubles;
  comparisons: readonly Comparison[];
  healedInMs: number;
  /** How often Synapse was started again, see `hasGivenUp`. */
  restarts: number;
  /** Why it could not be run to its end. */
  error?: string;
}

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '1' },
    servers: { type: 'string', default: 'ours,ours,synapse' },
    keep: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    replay: { type: 'string' },
  },
});

async function main(): Promise<void> {
  if (options.replay !== undefined) {
    const wrong = await replay(options.replay);
    for (const line of wrong) console.log(line);
    if (wrong.length > 0) process.exitCode = 1;
    return;
  }
  const first = positive(options.seed);
  for (let seed = first; seed < first + positive(options.seeds); seed += 1) await soak(seed, positive(options.minutes));
}

/** Runs one seed and says what came of it. Does not throw when that fails. */
async function soak(seed: number, minutes: number): Promise<void> {
  const kinds = options.servers.split(',').map((kind) => (kind === 'synapse' ? 'synapse' : 'ours'));
  const all = await startServers(kinds);
  current = all;
  const journal = new Journal();
  let town: Town | undefined;
  const run: Run = { seed, minutes, troubles: { cuts: 0, kills: 0 }, comparisons: [], healedInMs: 0, restarts: 0 };
  try {
    const { servers } = all;
    const people: Person[][] = [];
    for (const [index, server] of servers.entries()) {
      const ones: Person[] = [];
      for (let i = 0; i < PEOPLE_PER_SERVER; i += 1) {
        ones.push(await register(server.url, `p${String(index)}${String(i)}`, journal));
      }
      people.push(ones);
    }
    const names = servers.map(({ name }) => name);
    const founded = await found(people, names, new Random(seed, 'rooms'));
    town = founded;
    const until = Date.now() + minutes * 60_000;
    [run.troubles] = await Promise.all([
      trouble(all, seed, until, journal),
      ...people.flatMap((ones, server) =>
        ones.map((self) => live(founded, server, self, new Random(seed, `person ${self.name}`), until)),
      ),
    ]);
    const healing = Date.now();
    run.comparisons = await heal(all, founded, () => (run.restarts += 1));
    run.healedInMs = Date.now() - healing;
  } catch (error) {
    run.error = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  try {
    await report(all, town, journal, run);
    if (options.keep) {
      console.error(`Everything runs until Enter or the end of the input; the data is in ${all.folder}`);
      for (const { kind, name, url } of all.servers) console.error(`${kind} ${name} ${url}`);
      await new Promise((resolve) => process.stdin.once('data', resolve).once('end', resolve));
    }
  } finally {
    current = undefined;
    await all.close();
  }
}

/** Waits until all servers agree about all rooms, or for so long that they never will. */
async function heal(all: SoakServers, town: Town, onRestart: () => void): Promise<Comparison[]> {
  let comparisons: Comparison[] = [];
  for (let round = 0, began = Date.now(); ; round += 1) {
    // Loose ends of a room are tied by its next event; until then each server may resolve them against others.
    if (round % CLOSING_WORDS_EVERY === 0) {
      for (const server of all.servers) {
        if (!(await hasGivenUp(server))) continue;
        onRestart();
        await startAgain(server);
      }
      for (const one of town.rooms) await closingWords(all, town, one, round);
    }
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_COMPARISONS_MS));
    comparisons = [];
    for (const one of town.rooms) comparisons.push(await compare(all.servers, town, one));
    const past = Date.now() - began;
    const isOver = (past > HEALING_MS && round >= COMPARISONS) || past > LONGEST_HEALING_MS;
    if (isOver || comparisons.every(({ differences }) => differences.length === 0)) return comparisons;
  }
}

async function startAgain(server: SoakServer): Promise<void> {
  await server.kill();
  await server.start();
}

/** Somebody of each server says something; of a server that has nobody in the room, somebody tries to come in. */
async function closingWords({ servers }: SoakServers, town: Town, room: Room, round: number): Promise<void> {
  const via = town.names.map((name) => `server_name=${encodeURIComponent(name)}&via=${encodeURIComponent(name)}`);
  for (const [server, people] of town.people.entries()) {
    const member = await firstMember(servers[server], people, room);
    if (!member) {
      if (round === 0) await people[0]?.ask('POST', `join/${encodeURIComponent(room.roomId)}?${via.join('&')}`, {});
      continue;
    }
    const path = inRoom(room.roomId, `send/m.room.message/closing-${member.name}-${String(round)}`);
    const body = `closing ${member.name} ${String(round)}`;
    const reply = await member.askAgain('PUT', path, { msgtype: 'm.text', body });
    if (reply.status === 200) acknowledge(town, server, room.roomId, reply.body);
  }
}

/** Says what came of a run; what is needed to find out why it did not pass is kept in a folder. */
async function report(all: SoakServers, town: Town | undefined, journal: Journal, run: Run): Promise<void> {
  const { servers } = all;
  const { comparisons, error } = run;
  const differences = comparisons.flatMap((one) => one.differences);
  const { faults, excusedErrors } = await errorsOf(servers, town);
  if (error !== undefined) faults.unshift(`the soak itself: ${error}`);
  const passed = differences.length === 0 && faults.length === 0;
  if (!passed) process.exitCode = 1;
  const counts = town?.counts ?? new Map<string, number>();
  for (const [name, count] of [...counts].toSorted()) console.error(`  ${name}: ${String(count)}`);
  for (const line of [...faults, ...differences.slice(0, SHOWN_DIFFERENCES)]) console.error(`  ${line}`);
  if (differences.length > SHOWN_DIFFERENCES) console.error(`  … ${String(differences.length)} differences in all`);
  const sum = (figure: (one: Comparison) => number): number =>
    comparisons.reduce((total, one) => total + figure(one), 0);
  const excused = EXCUSES.flatMap((name) => {
    const count = sum((one) => one.excused.get(name) ?? 0);
    return count === 0 ? [] : [[name, count] as const];
  });
  const requests = [...counts].reduce((total, [, count]) => total + count, 0);
  const result = {
    soak: run.seed,
    passed,
    minutes: run.minutes,
    servers: servers.map(({ kind }) => kind).join(','),
    requests,
    unanswered: [...counts].reduce((total, [name, n]) => total + (name.endsWith('unanswered') ? n : 0), 0),
    ...run.troubles,
    acknowledged: town?.acknowledged.length ?? 0,
    rooms: town?.rooms.length ?? 0,
    shared_rooms: comparisons.filter((one) => one.views.length > 1).length,
    views: sum((one) => one.views.length),
    history_events: sum(({ views }) => new Set(views.flatMap(({ history }) => [...history])).size),
    state_events: sum(({ views }) => new Set(views.flatMap(({ state }) => [...state.keys()])).size),
    parted: sum((one) => one.parted),
    excused: Object.fromEntries(excused),
    shut_out_by_synapse: sum(({ shutOut }) => shutOut.flat().length),
    synapse_restarts: run.restarts,
    excused_errors: excusedErrors,
    healed_in_s: Math.round(run.healedInMs / 100) / 10,
    differences: differences.length,
    faults: faults.length,
  };
  console.log(JSON.stringify(result));
  if (passed && !options.record) return;
  const whole = { ...result, all_faults: faults, all_differences: differences };
  const folder = await record(all, town, journal, comparisons, whole);
  console.error(`  What is needed to play it again is in ${folder}`);
}

/** What stands in the logs of the servers, and how often what Synapse makes by itself. */
async function errorsOf(
  servers: readonly SoakServer[],
  town: Town | undefined,
): Promise<{ faults: string[]; excusedErrors: Record<string, number> }> {
  const faults: string[] = [];
  const excusedErrors: Record<string, number> = {};
  const graphs: RoomGraph[] = [];
  for (const { roomId, version } of town?.rooms ?? []) graphs.push(await RoomGraph.read(servers, roomId, version));
  for (const [index, server] of servers.entries()) {
    for (const error of server.faults()) {
      const { known, text } = error;
      if (known !== undefined && (await isItsOwn(index, error, graphs))) {
        excusedErrors[known] = (excusedErrors[known] ?? 0) + 1;
      } else faults.push(`server ${String(index)} (${server.kind}): ${text}`);
    }
  }
  return { faults, excusedErrors };
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error('Seeds and minutes are positive numbers.');
  return value;
}

let current: SoakServers | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    const exit = (): never => process.exit(130);
    (current?.close() ?? Promise.resolve()).then(exit, exit);
  });
}
await main();
