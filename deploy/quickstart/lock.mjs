/**
 * Locks between everybody on this machine: other processes, other users, other containers with the same folder, and
 * other parts of this process.
 *
 * The kernel holds the lock, flock(1) asks for it, and it ends with the one who took it in whatever way: nobody has to
 * find out whether the owner is still alive. The file stays, because who removes it takes it from under somebody who
 * has it open. Plain Node 20, without dependencies.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** flock's exit code when somebody else has the lock, and only then. */
const TAKEN = 75;
/** Has the lock for as long as our end of its standard input is open. */
const HOLDER = 'echo "$1" > "$0"; echo locked; exec cat > /dev/null';

/**
 * Takes the lock if nobody has it.
 *
 * @param path the file, in a folder that is made if absent
 * @returns a function that gives the lock back and resolves when it is free, or the process id of the owner
 * @throws Error when the file can not be made or opened
 */
export async function tryLock(path) {
  return take(path, ['--nonblock']);
}

/**
 * Takes the lock, and waits as long as somebody else has it.
 *
 * @param onWait called once with the owner's process id, if there is somebody to wait for
 * @returns a function that gives the lock back and resolves when it is free
 * @throws Error when the file can not be made or opened
 */
export async function lock(path, onWait) {
  const result = await tryLock(path);
  if (typeof result === 'function') return result;
  onWait(result);
  return take(path, []);
}

function take(path, options) {
  mkdirSync(dirname(path), { recursive: true });
  return new Promise((resolve, reject) => {
    const how = ['--no-fork', '--conflict-exit-code', String(TAKEN), ...options];
    const args = [...how, path, 'sh', '-c', HOLDER, path, String(process.pid)];
    // Its own process group: a Ctrl-C at the terminal ends what the lock is for first, and the lock with this process.
    const holder = spawn('flock', args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    const ended = new Promise((done) => holder.once('close', done));
    let words = '';
    holder.stderr.setEncoding('utf8').on('data', (text) => (words += text));
    // The holder may have been killed; then there is nothing to give back.
    holder.stdin.on('error', () => undefined);
    holder.on('error', reject);
    holder.on('close', (code) => {
      if (code === TAKEN) resolve(ownerOf(path));
      else reject(new Error(`The lock ${path} can not be taken. ${words.trim()}`));
    });
    holder.stdout.once('data', () => {
      // Who has nothing else to do may end, and the lock with it.
      const held = [holder, holder.stdin, holder.stdout, holder.stderr];
      for (const each of held) each.unref();
      resolve(() => {
        // `close` comes when the pipes are closed as well, which may be after the process has ended.
        for (const each of held) each.ref();
        holder.stdin.end();
        return ended;
      });
    });
  });
}

/** The process id that the owner has written; 0 if it has not got to that yet. */
function ownerOf(path) {
  return Number.parseInt(readFileSync(path, 'utf8'), 10) || 0;
}
