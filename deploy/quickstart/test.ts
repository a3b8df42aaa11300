/**
 * Every check there is, side by side as far as they do not disturb each other; a failed one does not keep the others from
 * running. The last line is `N passed, N failed`. `npm test -- --only=types,jasmine` runs some of them; what follows `--`
 * once more is given to Jasmine: `npm test -- --only=jasmine -- --filter=power`.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { keycloakInstallation } from '../keycloak/installation.ts';
import { duration, SetUpError } from './progress.mjs';
import { endTools, tool } from './tool.ts';
import type { Print, ToolOptions } from './tool.ts';

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

interface Check {
  /** For `--only`. Several checks that have one share a line at the end. */
  readonly name: string;
  readonly title: string;
  /** Which of several with this name. */
  readonly part?: number;
  readonly kind: Kind;
  run(print: Print): Promise<Counts>;
}

/** What all checks of a name had together. */
interface Result extends Counts {
  readonly title: string;
  readonly beganAt: number;
  readonly endedAt: number;
}

/** What a check does with the machine: `reads` keeps one core busy, `waits` waits a good deal, `alone` measures times. */
type Kind = 'reads' | 'waits' | 'alone';

const ROOT = join(import.meta.dirname, '../..');
const SPEC_DIR = join(ROOT, 'spec');
const LAYERED = ['protocol', 'federation', 'sfu', 'homeserver', 'client-angular/src'];
/** One kind goes after the other, and of each so many checks at the same time: they are to fill two cores. */
const SIDE_BY_SIDE: readonly (readonly [Kind, number])[] = [
  ['reads', 2],
  ['waits', 3],
  ['alone', 1],
];
/**
 * Jasmine's specs run in so many processes, each with a database and ports of its own: more even out better, and each has
 * to load the homeserver once more. Jasmine's own parallel mode would not do: it forks by Node's cluster, in which
 * several may listen at one port, and it knows no seed.
 */
const SPEC_PARTS = 6;
const HIGHEST_SEED = 100_000;
/**
 * Commands that make a network of its own usable: loopback, and an address with a default route, without which Firefox
 * gathers no ICE candidates. Nothing is at the other end: what goes out of this network is lost.
 */
const OWN_NETWORK = [
  'ip link set lo up',
  'ip link add hansetag0 type veth peer name hansetag1',
  'ip address add 10.99.0.1/24 dev hansetag0',
  'ip link set hansetag0 up',
  'ip link set hansetag1 up',
  'ip route add default dev hansetag0',
].join(' && ');

const countsSchema = z.object({ passed: z.int().min(0), failed: z.int().min(0) });
const specFilesSchema = z.object({ spec_files: z.array(z.string()) });

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' } },
  allowPositionals: true,
});

/** Of a kind, those that take longest come first, so that none is left when all others have ended. */
const CHECKS: readonly Check[] = [
  {
    name: 'lint',
    title: 'Lint rules',
    kind: 'reads',
    run: async (print) => one(await tool(print, 'eslint/bin/eslint.js', ['.', '--max-warnings=0'])),
  },
  { name: 'types', title: 'Types', kind: 'reads', run: types },
  {
    name: 'format',
    title: 'Format',
    kind: 'reads',
    run: async (print) => one(await tool(print, 'prettier/bin/prettier.cjs', ['--check', '.', '--log-level=warn'])),
  },
  { name: 'layers', title: 'Layers', kind: 'reads', run: layers },
  { name: 'set-up', title: 'First start', kind: 'waits', run: (print) => specs(print, 'jasmine-set-up.json') },
  {
    name: 'interop',
    title: 'Specs with a stock Synapse',
    kind: 'waits',
    run: (print) => specs(print, 'jasmine-interop.json'),
  },
  { name: 'keycloak', title: 'Specs with a real Keycloak', kind: 'waits', run: withKeycloak },
  ...specParts(),
  { name: 'karma', title: "Specs of the client's components", kind: 'waits', run: componentSpecs },
  { name: 'e2e', title: 'End-to-end specs', kind: 'alone', run: (print) => inOwnNetwork(print, 'jasmine-e2e.json') },
];
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
process.on('disconnect', interrupt);

const wanted = values.only?.split(',');
const chosen = CHECKS.filter(({ name }) => wanted === undefined || wanted.includes(name));
const names = [...new Set(CHECKS.map(({ name }) => name))];
const unknown = wanted?.filter((name) => !names.includes(name)) ?? [];
if (unknown.length > 0) {
  console.error(`There is no check ${unknown.join(', ')}; there are ${names.join(', ')}.`);
  process.exit(2);
}

const started = Date.now();
const results = new Map<string, Result>();
for (const [kind, lanes] of SIDE_BY_SIDE) {
  const left = chosen.filter((check) => check.kind === kind);
  await Promise.all(Array.from({ length: Math.min(lanes, left.length) }, () => runAll(left)));
}
console.log(`\nAll checks (${duration(Date.now() - started)}):`);
const total = { passed: 0, failed: 0 };
for (const result of results.values()) {
  total.passed += result.passed;
  total.failed += result.failed;
  console.log(said(result));
}
console.log(`\n${String(total.passed)} passed, ${String(total.failed)} failed`);
process.exit(total.failed === 0 ? 0 : 1);

async function types(print: Print): Promise<Counts> {
  const projects = ['tsconfig.json', 'client-angular/tsconfig.app.json', 'client-angular/tsconfig.spec.json'];
  let ok = true;
  for (const project of projects) {
    const result = await tool(print, 'typescript/bin/tsc', ['-p', project, '--noEmit']);
    ok &&= result.ok;
  }
  return one({ ok });
}

async function layers(print: Print): Promise<Counts> {
  const args = ['--config', '.dependency-cruiser.mjs', ...LAYERED];
  return one(await tool(print, 'dependency-cruiser/bin/dependency-cruiser.mjs', args));
}

/** Jasmine's specs, shared out; but few files, or what has some name, in one process. */
function specParts(): Check[] {
  const config = 'jasmine.json';
  const part = { name: 'jasmine', title: 'Specs', kind: 'waits' } as const;
  if (positionals.some((word) => !word.startsWith('--seed='))) {
    return [{ ...part, run: (print) => specs(print, config) }];
  }
  const patterns = specFilesSchema.parse(readJson(join(SPEC_DIR, 'support', config))).spec_files;
  const files = globSync(
    patterns.filter((pattern) => !pattern.startsWith('!')),
    { cwd: SPEC_DIR, exclude: patterns.flatMap((pattern) => (pattern.startsWith('!') ? [pattern.slice(1)] : [])) },
  ).sort();
  const how = [
    `--seed=${String(Math.floor(Math.random() * HIGHEST_SEED))}`,
    `--helper=${join(SPEC_DIR, 'support/database-first.ts')}`,
  ];
  return Array.from({ length: SPEC_PARTS }, (_, index) => ({
    ...part,
    part: index + 1,
    // Neighbours do the same work, so each part gets one of them.
    run: (print) => {
      const own = files.filter((_file, place) => place % SPEC_PARTS === index);
      return specs(print, config, { args: [...how, ...own.map((file) => join('spec', file))] });
    },
  }));
}

/** Runs Jasmine with a configuration of spec/support. What was given to us for it comes after `args` and is stronger. */
async function specs(
  print: Print,
  config: string,
  { args = [], env = {}, ...options }: ToolOptions & { readonly args?: readonly string[] } = {},
): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-test-'));
  const file = join(folder, 'result.json');
  const support = join(SPEC_DIR, 'support');
  const how = [`--config=${join(support, config)}`, `--reporter=${join(support, 'reporter.ts')}`];
  try {
    const { ok } = await tool(print, 'jasmine/bin/jasmine.js', [...how, ...args, ...positionals], {
      ...options,
      env: { HANSETAG_SPEC_RESULT: file, ...env },
    });
    const counts = countsSchema.safeParse(readJson(file));
    if (!counts.success) return { passed: 0, failed: 1 };
    // An exit code that the numbers do not explain is a failure as well.
    return ok || counts.data.failed > 0 ? counts.data : { passed: counts.data.passed, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function componentSpecs(print: Print): Promise<Counts> {
  const { ok, output } = await tool(print, '@angular/cli/bin/ng.js', ['test', 'client', '--watch=false'], {
    env: { NG_CLI_ANALYTICS: 'false', CI: '1' },
  });
  const last = [...output.matchAll(/Executed (\d+) of \d+ (?:.*?\((\d+) FAILED\))?/g)].at(-1);
  const executed = Number(last?.[1] ?? 0);
  const failed = Number(last?.[2] ?? 0);
  if (!ok && failed === 0) return { passed: executed, failed: 1 };
  return { passed: executed - failed, failed };
}

async function withKeycloak(print: Print): Promise<Counts> {
  try {
    // There is no registry in a network of its own.
    await keycloakInstallation('postgres', (words) => print(`  ${words}`));
  } catch (error) {
    print(error instanceof SetUpError ? error.message : String(error));
    return { passed: 0, failed: 1 };
  }
  return inOwnNetwork(print, 'jasmine-keycloak.json');
}

/** In a network of their own, where specs may count and lose packets; without the rights for that those are pending. */
async function inOwnNetwork(print: Print, config: string): Promise<Counts> {
  const canHaveOwn = [`unshare --net sh -c '${OWN_NETWORK}'`, 'nft -v'].every(
    (command) => spawnSync('sh', ['-c', command], { stdio: 'ignore' }).status === 0,
  );
  if (!canHaveOwn) return specs(print, config);
  const inside = ['unshare', '--net', 'sh', '-c', `${OWN_NETWORK} && exec "$@"`, 'sh'];
  return specs(print, config, { inside, env: { HANSETAG_SPEC_NETWORK: 'own' } });
}

/** Takes one check after the other from a list. */
async function runAll(checks: Check[]): Promise<void> {
  for (let check = checks.shift(); check; check = checks.shift()) {
    const { name, part } = check;
    const title = part === undefined ? check.title : `${check.title}, part ${String(part)}`;
    const label = part === undefined ? name : `${name} ${String(part)}`;
    console.log(`\n▶ ${title}`);
    const beganAt = Date.now();
    // Several print at the same time: each line says whose it is.
    const counts = await check.run((line) => console.log(line === '' ? '' : `${label}│ ${line}`));
    const endedAt = Date.now();
    console.log(`\n${said({ ...counts, title, beganAt, endedAt })}`);
    const before = results.get(name) ?? { title: check.title, beganAt, passed: 0, failed: 0 };
    const [passed, failed] = [before.passed + counts.passed, before.failed + counts.failed];
    results.set(name, { ...before, passed, failed, endedAt });
  }
}

function said({ title, passed, failed, beganAt, endedAt }: Result): string {
  const mark = failed === 0 ? '✓' : '✗';
  return `${mark} ${title}: ${String(passed)} passed, ${String(failed)} failed (${duration(endedAt - beganAt)})`;
}

function one({ ok }: { readonly ok: boolean }): Counts {
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Ends the running checks. */
function interrupt(): void {
  endTools();
  process.exit(130);
}
