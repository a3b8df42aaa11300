/** Attacks one face for a time, and says what came of it. */
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../soak/random.ts';
import type { AnyFace, Attack } from './face.ts';
import { FACES } from './faces.ts';
import type { FaceName } from './faces.ts';
import { MAX_STALL_MS } from './stalls.ts';
import type { Usage } from './target-messages.ts';
import type { Target, Trouble } from './target-process.ts';
import type { Targets } from './targets.ts';

export interface FuzzOptions {
  readonly face: FaceName;
  readonly seed: number;
  /** How long inputs are sent, in ms. */
  readonly forMs: number;
  /** On a busy machine they are sent for longer, until that is so. */
  readonly isEnough?: (inputs: number, kindsOfAnswers: readonly string[]) => boolean;
  /** Only these numbers, to see a finding again. */
  readonly only?: { readonly from: number; readonly to: number };
  /** Told of each finding as it is made. */
  readonly onFinding?: (finding: Finding) => void;
}

export interface Finding {
  readonly kind: Trouble['type'] | '5xx' | 'memory';
  readonly what: string;
  readonly seed: number;
  /** The input that was answered so, or those that were under way. */
  readonly inputs: readonly number[];
  /** The first of them, cut off where it is long. */
  readonly input?: string;
}

export interface Report {
  readonly face: FaceName;
  readonly seed: number;
  readonly seconds: number;
  readonly inputs: number;
  readonly answers: Readonly<Record<string, number>>;
  readonly '5xx': number;
  readonly crashes: number;
  /** Exceptions that nobody has caught among them. */
  readonly unhandledRejections: number;
  /** Lines at level `error` in the target's log. */
  readonly errors: number;
  /** In ms; `own` without the time in which the target waited for a processor that others used. */
  readonly longestStallMs: { readonly monitored: number; readonly own: number };
  /** In MiB. `live` is what is left after a collection of garbage, without the bounded caches. */
  readonly memory: {
    readonly live: { readonly before: number; readonly after: number };
    readonly rss: { readonly before: number; readonly peak: number; readonly after: number };
  };
  readonly findings: number;
  readonly ok: boolean;
}

/** Code is loaded and compiled in the beginning: what is kept then is no leak. Of the whole time, and at most, in ms. */
const WARM_UP = { share: 0.2, atMostMs: 30_000 };
const MEND_EVERY = 400;
/**
 * So much more memory than before may be held in the end, and how long it may take to get back there: an SFU keeps the
 * conferences of a homeserver that has gone for a minute.
 */
const MORE_MEMORY = 1.2;
const BACK_WITHIN_MS = 90_000;
const LOOK_EVERY_MS = 2_000;
const SHOWN_INPUT = 1_500;
const ANSWER_WITHIN_MS = 45_000;

/**
 * @param targets has the target that is attacked, or starts it
 * @throws Error when the face could not be opened
 */
export async function fuzz(options: FuzzOptions, targets: Targets): Promise<Report> {
  const attack: Attack = FACES[options.face];
  const { target, face } = await attack.open(targets);
  try {
    return await new Run(options, attack.atOnce, target, face).report();
  } finally {
    await face.close();
    await targets.release(target);
  }
}

class Run {
  readonly #options: FuzzOptions;
  readonly #atOnce: number;
  readonly #target: Target;
  readonly #face: AnyFace;
  readonly #underWay = new Map<number, unknown>();
  readonly #answers = new Map<string, number>();
  readonly #findings: Finding[] = [];
  #next: number;
  #mending: Promise<void> | undefined;

  constructor(options: FuzzOptions, atOnce: number, target: Target, face: AnyFace) {
    this.#options = options;
    this.#atOnce = options.only ? 1 : atOnce;
    this.#target = target;
    this.#face = face;
    this.#next = options.only?.from ?? 0;
    target.onTrouble = ({ type, what }) => this.#find(type, what, [...this.#underWay]);
  }

  async report(): Promise<Report> {
    const { face, seed, forMs, only } = this.#options;
    await this.#target.usage(true);
    this.#findings.length = 0;
    const began = performance.now();
    const warmUp = only ? 0 : Math.min(forMs * WARM_UP.share, WARM_UP.atMostMs);
    await this.#send(began + warmUp);
    const before = await this.#target.usage(true);
    await this.#send(began + forMs);
    const seconds = Math.round((performance.now() - began) / 1000);
    const busy = await this.#target.usage();
    const after = before && (await this.#settled(before));
    const stall = busy?.longestOwnStall ?? 0;
    if (stall > MAX_STALL_MS && this.#count('stall') === 0) this.#find('stall', `${String(stall)} ms`, []);
    return {
      face,
      seed,
      seconds,
      inputs: this.#next - (only?.from ?? 0),
      answers: Object.fromEntries([...this.#answers].sort()),
      '5xx': this.#count('5xx'),
      crashes: this.#count('crash'),
      unhandledRejections: this.#count('rejection') + this.#count('exception'),
      errors: this.#count('error'),
      longestStallMs: { monitored: busy?.longestStall ?? 0, own: stall },
      memory: {
        live: { before: before?.live ?? 0, after: after?.live ?? 0 },
        rss: { before: before?.rss ?? 0, peak: busy?.peakRss ?? 0, after: after?.rss ?? 0 },
      },
      findings: this.#findings.length,
      ok: this.#findings.length === 0,
    };
  }

  async #send(until: number): Promise<void> {
    await Promise.all(Array.from({ length: this.#atOnce }, () => this.#sendOneByOne(until)));
  }

  async #sendOneByOne(until: number): Promise<void> {
    const { seed, face, only, isEnough } = this.#options;
    const isOver = (): boolean =>
      this.#target.hasEnded ||
      (performance.now() > until && isEnough?.(this.#next, [...this.#answers.keys()]) !== false);
    while (!isOver()) {
      if (only && this.#next > only.to) return;
      if (this.#next % MEND_EVERY === MEND_EVERY - 1) {
        this.#mending ??= this.#face.mend().finally(() => (this.#mending = undefined));
      }
      const number = this.#next;
      this.#next += 1;
      await this.#mending;
      const { input, answered } = this.#face.send(new Random(seed, `${face} ${String(number)}`));
      this.#underWay.set(number, input);
      const late = delay(ANSWER_WITHIN_MS, { kind: 'no answer' }, { ref: false });
      const answer: Awaited<typeof answered> = await Promise.race([answered, late]);
      this.#answers.set(answer.kind, (this.#answers.get(answer.kind) ?? 0) + 1);
      if (answer.fault !== undefined) this.#find('5xx', answer.fault, [[number, input]]);
      this.#underWay.delete(number);
    }
  }

  /** What it holds when all is over: connections end and what was begun is finished, which takes a while. */
  async #settled(before: Usage): Promise<Usage | undefined> {
    // What the attacker holds open is its own.
    await this.#face.close();
    const limit = before.live * MORE_MEMORY;
    for (const deadline = performance.now() + BACK_WITHIN_MS; ;) {
      const usage = await this.#target.usage();
      if (!usage || usage.live <= limit) return usage;
      if (performance.now() > deadline) {
        this.#find('memory', `${String(before.live)} MiB before, ${String(usage.live)} MiB after`, []);
        return usage;
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  #find(kind: Finding['kind'], what: string, under: readonly (readonly [number, unknown])[]): void {
    const [first] = under;
    const finding: Finding = {
      kind,
      what,
      seed: this.#options.seed,
      inputs: under.map(([number]) => number),
      ...(first ? { input: JSON.stringify(first[1]).slice(0, SHOWN_INPUT) } : {}),
    };
    this.#findings.push(finding);
    this.#options.onFinding?.(finding);
  }

  #count(kind: Finding['kind']): number {
    return this.#findings.filter((finding) => finding.kind === kind).length;
  }
}
