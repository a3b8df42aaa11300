/** Notices that this computer was asleep, for example behind a closed lid: no timer runs then. */

const TICK_MS = 1_000;
/**
 * A pause of this length is taken for sleep, in ms. Browsers slow down the timers of a tab in the background to one a
 * second as long as it has a connection or a live track, and an overloaded computer may stand still for some seconds;
 * longer pauses are made by sleep, or by a frozen browser.
 */
export const ASLEEP_MS = 20_000;

/**
 * @param onWake called as soon as the computer is awake again, with the ms that it was asleep
 * @returns ends the watch
 */
export function watchSleep(onWake: (sleptMs: number) => void): () => void {
  let last = Date.now();
  const look = (): void => {
    const now = Date.now();
    const pause = now - last;
    last = now;
    if (pause >= ASLEEP_MS) onWake(pause);
  };
  const timer = setInterval(look, TICK_MS);
  // Browsers tell this before timers run again.
  document.addEventListener('resume', look);
  document.addEventListener('visibilitychange', look);
  return () => {
    clearInterval(timer);
    document.removeEventListener('resume', look);
    document.removeEventListener('visibilitychange', look);
  };
}
