/**
 * Our homeserver beside Synapse:
 * `npm run bench -- homeserver [rounds] [members] [ours] [--against folder] [--trust pki]`.
 *
 * Two servers of each kind run all the time, each a process of its own on the same durable PostgreSQL, with TLS between
 * those that federate and without limits of rates. In each round all loads go first to the one and then to the other
 * kind; the order changes from round to round. The medians of the rounds count (of deliveries: the percentiles of all).
 * The last line is JSON. With the word `ours`, Synapse is left out; with `--against`, another checkout of this repository
 * takes part as `before`, to see what a change does. With
 * `--trust pki`, ours trust each other by certificates, and Synapse is left out.
 */
import { availableParallelism, cpus } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startContenders } from './homeserver/contenders.ts';
import type { Contender } from './homeserver/contenders.ts';
import { each } from './homeserver/http.ts';
import type { User } from './homeserver/http.ts';
import { deliveriesMs, joinsPerSecond, publicRoom, remoteJoinMs, sendsPerSecond } from './homeserver/loads.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { against: { type: 'string' }, trust: { type: 'string' } },
});
const ROUNDS = positive(positionals[0], 3);
const MEMBERS = positive(positionals[1], 1000);
const KINDS = [
  'ours' as const,
  ...(values.against === undefined ? [] : ['before' as const]),
  ...(positionals[2] === 'ours' || values.trust === 'pki' ? [] : ['synapse' as const]),
];
const SENDERS = 20;
const SEND_MS = 5_000;
const DELIVERIES = 100;
const WARM_UP = { sendMs: 2_000, deliveries: 30 };
const REGISTRATIONS_AT_A_TIME = 8;
/** What is left of garbage of the load may go first, in ms. */
const REST_MS = 5_000;

/** What was measured of one kind. */
interface Figures {
  readonly deliveriesMs: number[];
  readonly sendsPerSecond: number[];
  readonly joinsPerSecond: number[];
  readonly remoteJoinMs: number[];
  /** Until all members are known. */
  readonly remoteRoomMs: number[];
  memoryMib: { first: number; second: number };
}

interface People {
  /** Of the first server; the first of them creates rooms. */
  readonly near: readonly [User, ...User[]];
  readonly far: User;
}

async function main(): Promise<void> {
  const against = values.against === undefined ? undefined : resolve(values.against);
  const { kinds, close } = await startContenders(KINDS, against, values.trust === 'pki');
  try {
    const figures = new Map<Contender, Figures>();
    const people = new Map<Contender, People>();
    for (const kind of kinds) {
      figures.set(kind, newFigures());
      people.set(kind, await settle(kind));
    }
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
        await measure(kind, of(people, kind), of(figures, kind));
        progress(`round ${String(round + 1)}/${String(ROUNDS)} ${kind.name}`, of(figures, kind));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    for (const kind of kinds) {
      of(figures, kind).memoryMib = { first: kind.first.memoryMib(), second: kind.second.memoryMib() };
    }
    report(kinds.map((kind) => ({ name: kind.name, ...of(figures, kind) })));
  } finally {
    await close();
  }
}

/** People, and a first load that nobody measures. */
async function settle(kind: Contender): Promise<People> {
  const names = Array.from({ length: MEMBERS }, (_, i) => `user${String(i)}`);
  const users = new Map<string, User>();
  await each(names, REGISTRATIONS_AT_A_TIME, async (name) => users.set(name, await kind.first.client.register(name)));
  const [creator, ...others] = names.map((name) => of(users, name));
  if (!creator) throw new Error('There is nobody.');
  const far = await kind.second.client.register('far');
  const roomId = await publicRoom(kind.first.client, creator);
  const senders = others.slice(0, SENDERS);
  await joinsPerSecond(kind.first.client, roomId, senders);
  await sendsPerSecond(kind.first.client, roomId, senders, WARM_UP.sendMs);
  await deliveriesMs(kind, creator, far, WARM_UP.deliveries);
  return { near: [creator, ...others], far };
}

async function measure(kind: Contender, { near, far }: People, figures: Figures): Promise<void> {
  const [creator, ...others] = near;
  const { client } = kind.first;
  figures.deliveriesMs.push(...(await deliveriesMs(kind, creator, far, DELIVERIES)));

  const sendRoom = await publicRoom(client, creator);
  const senders = others.slice(0, SENDERS);
  await joinsPerSecond(client, sendRoom, senders);
  figures.sendsPerSecond.push(await sendsPerSecond(client, sendRoom, senders, SEND_MS));

  const bigRoom = await publicRoom(client, creator);
  figures.joinsPerSecond.push(await joinsPerSecond(client, bigRoom, others));
  const members = near.length + 1;
  const joined = await remoteJoinMs(kind, { roomId: bigRoom, members }, creator, far);
  figures.remoteJoinMs.push(joined.answer);
  figures.remoteRoomMs.push(joined.whole);
}

function report(all: readonly ({ name: string } & Figures)[]): void {
  const [ours, ...others] = all;
  if (!ours) return;
  const row = (name: string, figure: (figures: Figures) => number): Record<string, number> => ({
    ...Object.fromEntries(all.map((kind) => [`${kind.name}_${name}`, rounded(figure(kind))])),
    ...Object.fromEntries(
      others.map((other) => [
        `ratio_${other.name === 'synapse' ? '' : `${other.name}_`}${name.replace(/_(ms|per_second|mib)$/, '')}`,
        rounded(figure(ours) / figure(other)),
      ]),
    ),
  });
  const result = {
    bench: 'homeserver',
    rounds: ROUNDS,
    members: MEMBERS,
    senders: SENDERS,
    deliveries: ours.deliveriesMs.length,
    cpu: cpus()[0]?.model ?? '',
    cores: availableParallelism(),
    ...row('delivery_p50_ms', (figures) => percentile(figures.deliveriesMs, 0.5)),
    ...row('delivery_p95_ms', (figures) => percentile(figures.deliveriesMs, 0.95)),
    ...row('sends_per_second', (figures) => percentile(figures.sendsPerSecond, 0.5)),
    ...row('joins_per_second', (figures) => percentile(figures.joinsPerSecond, 0.5)),
    ...row('remote_join_ms', (figures) => percentile(figures.remoteJoinMs, 0.5)),
    ...row('remote_room_ms', (figures) => percentile(figures.remoteRoomMs, 0.5)),
    ...row('memory_mib', (figures) => figures.memoryMib.first),
    ...row('second_memory_mib', (figures) => figures.memoryMib.second),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function progress(what: string, figures: Figures): void {
  const delivered = figures.deliveriesMs.slice(-DELIVERIES);
  process.stderr.write(
    `${what.padEnd(18)} delivery ${percentile(delivered, 0.5).toFixed(1)} and ${percentile(delivered, 0.95).toFixed(1)} ms, ` +
      `${figures.sendsPerSecond.at(-1)?.toFixed(1) ?? ''} sends/s, ${figures.joinsPerSecond.at(-1)?.toFixed(1) ?? ''} joins/s, ` +
      `remote join ${figures.remoteJoinMs.at(-1)?.toFixed(0) ?? ''} ms, all of it ${figures.remoteRoomMs.at(-1)?.toFixed(0) ?? ''} ms\n`,
  );
}

function newFigures(): Figures {
  return {
    deliveriesMs: [],
    sendsPerSecond: [],
    joinsPerSecond: [],
    remoteJoinMs: [],
    remoteRoomMs: [],
    memoryMib: { first: NaN, second: NaN },
  };
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function of<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key);
  if (value === undefined) throw new Error('Nothing is known of it.');
  return value;
}

function positive(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error('npm run bench -- homeserver [rounds] [members]');
  return value;
}

await main();
