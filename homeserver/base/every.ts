/** Work that is done from time to time. */
import type { Logger } from 'pino';

/** Does something every so many ms; what fails is logged. @returns a function that ends that */
export function every(ms: number, task: () => Promise<void>, log: Logger): () => void {
  const timer = setInterval(() => {
    task().catch((error: unknown) => log.warn({ err: error }, 'cleaning up failed'));
  }, ms);
  timer.unref();
  return () => clearInterval(timer);
}
