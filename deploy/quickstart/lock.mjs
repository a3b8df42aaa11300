/** Locks between processes of this machine: a file that names its owner. Plain Node 20, without dependencies. */
import { mkdirSync, readFileSync, renameSync, rmSync, linkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const RETRY_MS = 300;

/** When a process has begun, in clock ticks since the machine's start: tells a reused process id from the old one. */
export function processStart(pid) {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    // The program's name, in parentheses, may hold anything; the 22nd field is the 20th after it (proc_pid_stat(5)).
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/**
 * Takes the lock if nobody has it. The lock of a process that is gone counts as free.
 *
 * @param path the file, in a folder that is made if absent
 * @returns a function that gives the lock back, or the process id of the owner
 */
export function tryLock(path) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = `${String(process.pid)} ${processStart(process.pid) ?? ''}`;
  const draft = `${path}.${String(process.pid)}`;
  writeFileSync(draft, mine);
  try {
    for (;;) {
      try {
        // Unlike a write, a link can not be seen half done.
        linkSync(draft, path);
        return () => {
          if (read(path) === mine) rmSync(path, { force: true });
        };
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const owner = read(path);
      if (owner === undefined) continue;
      const [pid, start] = owner.split(' ');
      if (owner !== mine && start !== '' && processStart(pid) === start) return Number(pid);
      // Two that find the same stale lock: only one can move it away, and puts it back if it was a fresh one.
      const stale = `${draft}.stale`;
      try {
        renameSync(path, stale);
      } catch {
        continue;
      }
      if (read(stale) !== owner) {
        try {
          linkSync(stale, path);
        } catch {
          // Somebody has the lock again already.
        }
      }
      rmSync(stale, { force: true });
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Takes the lock, and waits as long as another process has it.
 *
 * @param onWait called once with the owner's process id, if there is somebody to wait for
 * @returns a function that gives the lock back
 */
export async function lock(path, onWait) {
  for (let waited = false; ; waited = true) {
    const result = tryLock(path);
    if (typeof result === 'function') return result;
    if (!waited) onWait(result);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
