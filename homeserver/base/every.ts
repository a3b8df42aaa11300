/** Periodic work. */
import type { Logger } from 'pino';

/**
 * Runs a task periodically, without keeping the process alive.
 *
 * @param undone the log message on failure, such as `old files were not removed`
 * @returns a function that stops it
 */
export function every(ms: number, task: () => Promise<unknown>, log: Logger, undone: string): () => void {
  const timer = setInterval(() => {
    task().catch((error: unknown) => log.warn({ err: error }, undone));
  }, ms);
  timer.unref();
  return () => clearInterval(timer);
}
