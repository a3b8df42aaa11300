/** A port for time. Specs use one that they advance themselves (spec/support/fakes/clock.ts). */

/** Cancels a timer; harmless when it has fired. */
export type Cancel = () => void;

export interface Clock {
  /** Unix time in ms. It may jump. */
  now(): number;
  /** Monotonic time in ms, from an arbitrary start. */
  monotonic(): number;
  /** Runs a task once after `ms` milliseconds. */
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

/** Resolves after `ms` milliseconds. */
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
