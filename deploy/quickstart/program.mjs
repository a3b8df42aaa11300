/** Running a program to its end. */
import { spawn } from 'node:child_process';

const KEPT = 20_000;

const running = new Set();

/**
 * Runs a program and waits for it. What it prints is kept (the last 20,000 characters), not shown.
 *
 * @param options cwd, env as for spawn; onLine is called with each line that the program prints; onStart is called with
 *   the process id, which is its process group as well
 * @returns `{ code, output }`; code is undefined if the program can not be run at all or died of a signal
 */
export function runProgram(program, args, { cwd, env, onLine, onStart } = {}) {
  return new Promise((resolve) => {
    let output = '';
    let rest = '';
    // An own process group, so that endPrograms reaches what the program has started in turn.
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    running.add(child);
    if (child.pid !== undefined) onStart?.(child.pid);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-KEPT);
        if (onLine === undefined) return;
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        lines.forEach((line) => onLine(line));
      });
    }
    const end = (code, words) => {
      running.delete(child);
      resolve({ code, output: words });
    };
    child.on('error', (error) => end(undefined, error.message));
    child.on('close', (code) => end(code ?? undefined, output));
  });
}

/** Ends all programs that run at the moment, with everything that they have started. */
export function endPrograms() {
  for (const child of running) endGroup(child.pid);
}

/** Ends a process group at once; one that is gone is left alone. */
export function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
