/**
 * Every check there is, one after the other but for some that go side by side; a failed one does not keep the others from
 * running. The last line is `N passed, N failed`. `npm test -- --only=types,jasmine` runs some of them; what follows `--`
 * once more is given to Jasmine: `npm test -- --only=jasmine -- --filter=power`.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { keycloakInstallation } from '../keycloak/installation.ts';
import { duration, SetUpError } from './progress.mjs';

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

interface Check {
  readonly name: string;
  readonly title: string;
  /** It only reads, and has one core busy: it may go beside another one that does. */
  readonly readsOnly?: true;
  run(): Promise<Counts>;
}

interface Ended {
  readonly ok: boolean;
  readonly output: string;
}

const ROOT = join(import.meta.dirname, '../..');
const NODE = join(ROOT, 'node_modules/.bin/node');
const LAYERED = ['protocol', 'federation', 'sfu', 'homeserver', 'client-angular/src'];
const KEPT_OUTPUT = 200_000;
/** So many checks that only read go side by side. */
const CORES = 2;
/** Checks that go beside the specs. */
const BESIDE_SPECS = ['karma', 'set-up'];
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

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' } },
  allowPositionals: true,
});

const CHECKS: readonly Check[] = [
  {
    name: 'lint',
    title: 'Lint rules',
    readsOnly: true,
    run: async () => one(await tool('eslint/bin/eslint.js', ['.', '--max-warnings=0'])),
  },
  {
    name: 'layers',
    title: 'Layers',
    readsOnly: true,
    run: async () =>
      one(
        await tool('dependency-cruiser/bin/dependency-cruiser.mjs', [
          '--config',
          '.dependency-cruiser.mjs',
          ...LAYERED,
        ]),
      ),
  },
  {
    name: 'format',
    title: 'Format',
    readsOnly: true,
    run: async () => one(await tool('prettier/bin/prettier.cjs', ['--check', '.', '--log-level=warn'])),
  },
  { name: 'types', title: 'Types', readsOnly: true, run: types },
  { name: 'jasmine', title: 'Specs', run: () => specs('spec/support/jasmine.json') },
  { name: 'interop', title: 'Specs with a stock Synapse', run: () => specs('spec/support/jasmine-interop.json') },
  { name: 'keycloak', title: 'Specs with a real Keycloak', run: withKeycloak },
  { name: 'karma', title: "Specs of the client's components", run: componentSpecs },
  { name: 'set-up', title: 'First start', run: () => specs('spec/support/jasmine-set-up.json') },
  { name: 'e2e', title: 'End-to-end specs', run: endToEnd },
];
const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
process.on('disconnect', interrupt);

const wanted = values.only?.split(',');
const chosen = CHECKS.filter(({ name }) => wanted === undefined || wanted.includes(name));
const unknown = wanted?.filter((name) => !CHECKS.some((check) => check.name === name)) ?? [];
if (unknown.length > 0) {
  console.error(`There is no check ${unknown.join(', ')}; there are ${CHECKS.map(({ name }) => name).join(', ')}.`);
  process.exit(2);
}

const started = Date.now();
const total = { passed: 0, failed: 0 };
const lines: string[] = [];
const reading = chosen.filter(({ readsOnly }) => readsOnly);
await Promise.all(Array.from({ length: CORES }, () => runAll(reading)));
const acting = chosen.filter(({ readsOnly }) => !readsOnly);
const isOf = (names: readonly string[]) => (check: Check) => names.includes(check.name);
// The specs wait more than they work, and take the longest.
await Promise.all([runAll(acting.filter(isOf(['jasmine']))), runAll(acting.filter(isOf(BESIDE_SPECS)))]);
await runAll(acting.filter((check) => !isOf(['jasmine', ...BESIDE_SPECS])(check)));
console.log(`\nAll checks (${duration(Date.now() - started)}):\n${lines.join('\n')}\n`);
console.log(`${String(total.passed)} passed, ${String(total.failed)} failed`);
process.exit(total.failed === 0 ? 0 : 1);

async function types(): Promise<Counts> {
  const projects = ['tsconfig.json', 'client-angular/tsconfig.app.json', 'client-angular/tsconfig.spec.json'];
  let ok = true;
  for (const project of projects) {
    const result = await tool('typescript/bin/tsc', ['-p', project, '--noEmit']);
    ok &&= result.ok;
  }
  return one({ ok });
}

async function specs(config: string, inside: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-test-'));
  const file = join(folder, 'result.json');
  try {
    const args = [`--config=${config}`, `--reporter=${join(ROOT, 'spec/support/reporter.ts')}`, ...positionals];
    const { ok } = await tool('jasmine/bin/jasmine.js', args, { HANSETAG_SPEC_RESULT: file, ...env }, inside);
    const counts = countsSchema.safeParse(readJson(file));
    if (!counts.success) return { passed: 0, failed: 1 };
    // An exit code that the numbers do not explain is a failure as well.
    return ok || counts.data.failed > 0 ? counts.data : { passed: counts.data.passed, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function componentSpecs(): Promise<Counts> {
  const { ok, output } = await tool('@angular/cli/bin/ng.js', ['test', 'client', '--watch=false'], {
    NG_CLI_ANALYTICS: 'false',
    CI: '1',
  });
  const last = [...output.matchAll(/Executed (\d+) of \d+ (?:.*?\((\d+) FAILED\))?/g)].at(-1);
  const executed = Number(last?.[1] ?? 0);
  const failed = Number(last?.[2] ?? 0);
  if (!ok && failed === 0) return { passed: executed, failed: 1 };
  return { passed: executed - failed, failed };
}

function endToEnd(): Promise<Counts> {
  return inOwnNetwork('spec/support/jasmine-e2e.json');
}

async function withKeycloak(): Promise<Counts> {
  try {
    // There is no registry in a network of its own.
    await keycloakInstallation('postgres', (words) => console.log(`  ${words}`));
  } catch (error) {
    console.log(error instanceof SetUpError ? error.message : error);
    return { passed: 0, failed: 1 };
  }
  return inOwnNetwork('spec/support/jasmine-keycloak.json');
}

/** In a network of their own, where specs may count and lose packets; without the rights for that those are pending. */
async function inOwnNetwork(config: string): Promise<Counts> {
  const canHaveOwn = [`unshare --net sh -c '${OWN_NETWORK}'`, 'nft -v'].every(
    (command) => spawnSync('sh', ['-c', command], { stdio: 'ignore' }).status === 0,
  );
  if (!canHaveOwn) return specs(config);
  const inside = ['unshare', '--net', 'sh', '-c', `${OWN_NETWORK} && exec "$@"`, 'sh'];
  return specs(config, inside, { HANSETAG_SPEC_NETWORK: 'own' });
}

/** Takes one check after the other from a list. */
async function runAll(checks: Check[]): Promise<void> {
  for (let check = checks.shift(); check; check = checks.shift()) {
    console.log(`\n▶ ${check.title}`);
    const begun = Date.now();
    const { passed, failed } = await check.run();
    total.passed += passed;
    total.failed += failed;
    const mark = failed === 0 ? '✓' : '✗';
    const line = `${mark} ${check.title}: ${String(passed)} passed, ${String(failed)} failed (${duration(Date.now() - begun)})`;
    lines.push(line);
    console.log(line);
  }
}

function one({ ok }: { readonly ok: boolean }): Counts {
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Runs a program of a package by Node 24, inside another command if one is given, and shows what it prints. */
function tool(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  inside: readonly string[] = [],
): Promise<Ended> {
  const [command = NODE, ...rest] = [...inside, NODE, join(ROOT, 'node_modules', script), ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      cwd: ROOT,
      env: { ...process.env, NODE_OPTIONS: '--disable-warning=ExperimentalWarning', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-KEPT_OUTPUT);
        process.stdout.write(text);
      });
    }
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      resolve({ ok: code === 0, output });
    });
  });
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Ends the running checks with everything it has started. */
function interrupt(): void {
  for (const { pid } of running) if (pid !== undefined) process.kill(-pid, 'SIGTERM');
  process.exit(130);
}
