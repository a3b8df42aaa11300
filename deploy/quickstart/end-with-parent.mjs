/**
 * For `node --import`: the process ends when its standard input closes, that is when the one that started it has ended,
 * in whatever way.
 */
const PATIENCE_MS = 5_000;

let ending = false;
function end() {
  if (ending) return;
  ending = true;
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), PATIENCE_MS).unref();
}

process.stdin.on('close', end).on('error', end).resume();
// Waiting for the end is no reason to go on.
process.stdin.unref?.();
