/** Work that is done from time to time. */
import type { Logger } from 'pino';

/**
 * Does something every so many ms, and keeps no process alive for it.
 *
 * @param undone what the log says when it fails, such as `old files were not removed`
 * @returns a function that ends that
 */
export function every(ms: number, task: () => Promise<unknown>, log: Logger, undone: string): () => void {
  const timer = setInterval(() => {
    task().catch((error: unknown) => log.warn({ err: error }, undone));
  }, ms);
  timer.unref();
  return () => clearInterval(timer);
}
