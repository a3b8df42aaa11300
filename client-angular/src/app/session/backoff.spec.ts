import { backoff } from './backoff.ts';

describe('The wait before connecting again', () => {
  it('is nothing at first, grows, and stays below the grace period of the session', () => {
    const waits = [0, 1, 2, 3, 4, 5, 20].map((attempt) => backoff(attempt, 0.5));
    expect(waits).toEqual([0, 200, 400, 800, 1_600, 3_000, 3_000]);
    expect(backoff(20, 1)).toBeLessThan(6_000);
  });

  it('differs between clients', () => {
    expect(backoff(3, 0)).toBeLessThan(backoff(3, 1));
  });
});
