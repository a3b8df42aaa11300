import { formatCountdown, formatDay, formatWhen } from './when.ts';

const NOW = new Date(2027, 2, 1, 12, 0).getTime();
const MINUTE = 60_000;

describe('The time of a meeting', () => {
  it('is empty for what is no date, and never throws', () => {
    for (const value of [9e15, -9e15, -1, NaN, Infinity, 0.5]) {
      expect(formatWhen(value, undefined, 'en', NOW)).toBe('');
      expect(formatDay(value, 'de', NOW)).toBe('');
      expect(formatCountdown(value, 'en', NOW)).toBe('');
      expect(formatWhen(NOW, value, 'en', NOW)).not.toContain('–');
    }
  });

  it('says the year where it is not this one', () => {
    expect(formatWhen(new Date(2028, 0, 1, 9).getTime(), undefined, 'en', NOW)).toContain('2028');
    expect(formatWhen(new Date(2020, 0, 1, 9).getTime(), undefined, 'de', NOW)).toContain('2020');
    expect(formatWhen(new Date(2027, 4, 1, 9).getTime(), undefined, 'en', NOW)).not.toContain('2027');
  });

  it('is relative where it is near', () => {
    expect(formatWhen(NOW, undefined, 'en', NOW)).toContain('Today');
    expect(formatWhen(NOW + 24 * 60 * MINUTE, undefined, 'de', NOW)).toContain('Morgen');
    expect(formatWhen(NOW - 24 * 60 * MINUTE, undefined, 'en', NOW)).toContain('Yesterday');
  });

  it('names the day of an end that is on another one', () => {
    const [from, to] = [new Date(2027, 2, 1, 22).getTime(), new Date(2027, 2, 2, 1).getTime()];
    expect(formatWhen(from, to, 'en', NOW)).toContain('– Tomorrow, 1:00');
    expect(formatWhen(from, from + 60 * MINUTE, 'en', NOW)).not.toContain('Tomorrow');
  });

  it('is counted down before the start', () => {
    expect(formatCountdown(NOW + 5 * MINUTE, 'en', NOW)).toBe('in 5 minutes');
    expect(formatCountdown(NOW, 'de', NOW)).toBe('jetzt');
    expect(formatCountdown(NOW - MINUTE, 'en', NOW)).toBe('');
    expect(formatCountdown(NOW + 61 * MINUTE, 'en', NOW)).toBe('');
  });
});
