/** Time, as parts that wait for it see it. Specs hand in one that they move themselves (spec/support/fakes/clock.ts). */

/** Ends a wait; harmless when it is over. */
export type Cancel = () => void;

export interface Clock {
  /** The time of day, Unix ms. It may jump. */
  now(): number;
  /** Milliseconds since any moment; they never go back. */
  monotonic(): number;
  /** Runs a task once, after so many ms. */
  after(ms: number, task: () => void): Cancel;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after so many ms. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

/** Waits for something, but no longer than so many ms. Never rejects. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  const over = Promise.withResolvers<void>();
  const cancel = clock.after(ms, over.resolve);
  await Promise.race([work.catch(() => undefined), over.promise]);
  cancel();
}
