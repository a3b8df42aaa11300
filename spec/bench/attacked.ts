/**
 * How others fare while a homeserver is attacked: `npm run bench -- attacked [seconds] [case ...]`.
 *
 * The homeserver with its media server, the attacker, and the neighbours (this process) are three processes, so that what
 * it costs to attack and to measure stalls nobody. Limits of rates are on. The cases are those of spec/hostile; before and
 * after them the same is measured without attack. Each has a meeting of its own. The last line is JSON.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { ATTACKS } from './attacked/attacks.ts';
import type { AttackerMessage, AttackOrder, AttackReport } from './attacked/messages.ts';
import { Neighbours } from './attacked/neighbours.ts';
import type { Waits } from './attacked/neighbours.ts';
import { Target } from '../hostile/fuzz/target-process.ts';

/** What others may have to wait, in ms. */
const AIMS = { versionsP95: 250, mute: 1_000 };
const SETTINGS = { HANSETAG_RATE_LIMITS: 'on', HANSETAG_PASSWORD_COST: '10' };
const BASELINES = ['none, before', 'none, after'] as const;
/** What an attack left under way is over by then, in ms. */
const REST_MS = 2_000;
const WARM_UP_MS = 2_000;

const usage = 'npm run bench -- attacked [seconds] [case ...]';
const [secondsText = '8', ...wanted] = process.argv.slice(2);
const SECONDS = Number(secondsText);
if (!(SECONDS > 0) || wanted.some((name) => !Object.hasOwn(ATTACKS, name))) {
  throw new Error(`${usage}; there are: ${Object.keys(ATTACKS).join(', ')}`);
}

/** Of one case; times in ms. */
interface Row {
  readonly case: string;
  readonly versions_p50_ms: number;
  readonly versions_p95_ms: number;
  readonly versions_longest_ms: number;
  readonly mutes: number;
  readonly mute_longest_ms: number;
  readonly transactions: number;
  readonly transaction_longest_ms: number;
  readonly lost: number;
  /** Requests of the neighbours that failed. */
  readonly failures: readonly string[];
  /** Of the homeserver's event loop, without the time in which it waited for a processor. */
  readonly stall_own_ms: number;
  readonly peak_mib: number;
  readonly acts: number;
  readonly acts_failed: number;
  readonly troubles: readonly string[];
  readonly passed: boolean;
}

async function main(): Promise<void> {
  const target = await Target.start('homeserver', SETTINGS);
  try {
    const warmUp = await Neighbours.settle(target.homeserver, 'warm-up');
    await warmUp.live(WARM_UP_MS);
    await warmUp.close();
    const attacks = wanted.length > 0 ? wanted : Object.keys(ATTACKS);
    const rows: Row[] = [];
    for (const name of [BASELINES[0], ...attacks, BASELINES[1]]) {
      const row = await measure(target, name);
      if (rows.length === 0) process.stdout.write(`${heading()}\n`);
      rows.push(row);
      process.stdout.write(`${line(row)}\n`);
      await rest(REST_MS);
    }
    const passed = rows.every((row) => row.passed);
    const machine = { cpu: cpus()[0]?.model ?? '', cores: availableParallelism(), load: rounded(loadavg()[0] ?? NaN) };
    process.stdout.write(`${JSON.stringify({ bench: 'attacked', seconds: SECONDS, ...machine, rows, passed })}\n`);
    if (!passed) process.exitCode = 1;
  } finally {
    await target.close();
  }
}

async function measure(target: Target, name: string): Promise<Row> {
  const troubles: string[] = [];
  target.onTrouble = ({ type, what }) => {
    if (type !== 'stall') troubles.push(`${type}: ${what.slice(0, 300)}`);
  };
  const neighbours = await Neighbours.settle(target.homeserver, name.replace(/\W+/g, '-').toLowerCase());
  try {
    const forMs = SECONDS * 1000;
    const order = { name, homeserver: target.homeserver, roomId: neighbours.roomId, forMs };
    const isAttack = Object.hasOwn(ATTACKS, name);
    const attacker = isAttack ? await Attacker.start(order) : undefined;
    await target.usage(true);
    const attack = attacker?.attack();
    const waits = await neighbours.live(forMs);
    const report = await attack;
    const used = await target.usage();
    return row(name, waits, report, { stall: used?.longestOwnStall ?? NaN, peak: used?.peakRss ?? NaN, troubles });
  } finally {
    await neighbours.close();
  }
}

class Attacker {
  readonly #child: ReturnType<typeof fork>;

  private constructor(child: ReturnType<typeof fork>) {
    this.#child = child;
  }

  /** Everything that it needs is there when this settles. */
  static async start(order: AttackOrder): Promise<Attacker> {
    const attacker = new Attacker(fork(join(import.meta.dirname, 'attacked/attacker.ts')));
    const ready = attacker.#told('ready');
    attacker.#child.send(order);
    await ready;
    return attacker;
  }

  async attack(): Promise<AttackReport> {
    const done = this.#told('done');
    this.#child.send('begin');
    const report = await done;
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
    return report;
  }

  #told<T extends AttackerMessage['type']>(type: T): Promise<Extract<AttackerMessage, { type: T }>> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('The attacker has ended.'));
      this.#child.once('exit', onExit);
      this.#child.once('message', (message: AttackerMessage) => {
        this.#child.off('exit', onExit);
        if (message.type === type) resolve(message as Extract<AttackerMessage, { type: T }>);
        else reject(new Error(`The attacker said ${message.type}.`));
      });
    });
  }
}

function row(
  name: string,
  waits: Waits,
  report: AttackReport | undefined,
  { stall, peak, troubles }: { stall: number; peak: number; troubles: readonly string[] },
): Row {
  const p95 = percentile(waits.versions, 0.95);
  const mute = Math.max(...waits.mutes);
  const isServed = p95 < AIMS.versionsP95 && mute < AIMS.mute;
  if (report?.failure !== undefined) process.stderr.write(`${name}: an act failed: ${report.failure.slice(0, 300)}\n`);
  return {
    case: name,
    versions_p50_ms: rounded(percentile(waits.versions, 0.5)),
    versions_p95_ms: rounded(p95),
    versions_longest_ms: rounded(Math.max(...waits.versions)),
    mutes: waits.mutes.length,
    mute_longest_ms: rounded(mute),
    transactions: waits.transactions.length,
    transaction_longest_ms: rounded(Math.max(...waits.transactions)),
    lost: waits.lost,
    failures: waits.failures.slice(0, 5),
    stall_own_ms: stall,
    peak_mib: peak,
    acts: report?.acts ?? 0,
    acts_failed: report?.failed ?? 0,
    troubles: troubles.slice(0, 5),
    passed: isServed && waits.lost === 0 && waits.failures.length === 0 && troubles.length === 0,
  };
}

function heading(): string {
  return 'case          versions p50, p95, longest   mute longest   transactions, longest   lost   failed   own stall   peak MiB   acts';
}

function line(row: Row): string {
  const ms = (value: number, width: number): string => String(Math.round(value)).padStart(width);
  return [
    row.case.padEnd(13),
    `${ms(row.versions_p50_ms, 8)} ${ms(row.versions_p95_ms, 8)} ${ms(row.versions_longest_ms, 8)} ms`,
    `${ms(row.mute_longest_ms, 10)} ms`,
    `${ms(row.transactions, 9)} ${ms(row.transaction_longest_ms, 9)} ms`,
    ms(row.lost, 6),
    ms(row.failures.length, 7),
    `${ms(row.stall_own_ms, 8)} ms`,
    ms(row.peak_mib, 8),
    `${ms(row.acts, 7)}${row.passed ? '' : '  not as it should be'}`,
  ].join(' ');
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await main();
