/** Runs the programs of the checks, and ends them. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Takes a line that a check prints. */
export type Print = (line: string) => void;

export interface Ended {
  readonly ok: boolean;
  /** The end of what it printed. */
  readonly output: string;
}

export interface ToolOptions {
  /** Beside our own environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** A command that starts the program in some surroundings. */
  readonly inside?: readonly string[];
}

const ROOT = join(import.meta.dirname, '../..');
const NODE = join(ROOT, 'node_modules/.bin/node');
const KEPT_OUTPUT = 200_000;

const running = new Set<ChildProcess>();
/** What Node has compiled, for the hundreds of processes of one run. */
const compileCache = mkdtempSync(join(tmpdir(), 'hansetag-compiled-'));
process.on('exit', () => rmSync(compileCache, { recursive: true, force: true }));

/** Runs a program of an npm package by Node 24 and prints what it prints, line by line. */
export function tool(
  print: Print,
  script: string,
  args: readonly string[],
  { env = {}, inside = [] }: ToolOptions = {},
): Promise<Ended> {
  const [command = NODE, ...rest] = [...inside, NODE, join(ROOT, 'node_modules', script), ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      cwd: ROOT,
      env: {
        ...process.env,
        NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
        NODE_COMPILE_CACHE: compileCache,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      let begun = '';
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-KEPT_OUTPUT);
        const lines = (begun + text).split('\n');
        begun = lines.pop() ?? '';
        lines.forEach(print);
      });
      stream.on('end', () => begun !== '' && print(begun));
    }
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      resolve({ ok: code === 0, output });
    });
  });
}

/** Ends what is running, with everything that it has started. */
export function endTools(): void {
  for (const { pid } of running) if (pid !== undefined) process.kill(-pid, 'SIGTERM');
}
