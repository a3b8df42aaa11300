/** What the kernel says about a process. Plain Node 20, without dependencies. */
import { readFileSync } from 'node:fs';

/** A zombie has ended and waits for a parent that asks for its exit code, perhaps for ever; X is about to go. */
const ENDED = ['Z', 'X', 'x'];

/**
 * When a process has begun, in clock ticks since the machine's start, which tells a reused process id from the old one;
 * undefined if there is no such process or it has ended.
 *
 * @see proc_pid_stat(5)
 */
export function processStart(pid) {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    // The program's name, in parentheses, may hold anything. The state is the third field, the start the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ENDED.includes(fields[0]) ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether a process is there and has not ended. Signal 0, the usual question, takes a zombie for alive. */
export function isRunning(pid) {
  return processStart(pid) !== undefined;
}
