const FIRST_MS = 200;
const LONGEST_MS = 3_000;

/**
 * Wait before the n-th attempt to connect again, in ms; the first one comes at once, because most drops are short
 * and a place in the conference is kept for seconds only.
 * @param random 0 to 1; spreads the clients of a server that restarted
 */
export function backoff(attempt: number, random = Math.random()): number {
  if (attempt === 0) return 0;
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1)) * (0.75 + random / 2);
}
