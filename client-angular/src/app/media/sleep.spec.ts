import { ASLEEP_MS, watchSleep } from './sleep.ts';

describe('Sleep of the computer', () => {
  beforeEach(() => {
    jasmine.clock().install();
    jasmine.clock().mockDate(new Date(1_000_000));
  });

  afterEach(() => jasmine.clock().uninstall());

  it('is noticed by the first tick after it, with its length', () => {
    const woken: number[] = [];
    const stop = watchSleep((sleptMs) => woken.push(sleptMs));
    jasmine.clock().tick(30_000);
    expect(woken).toEqual([]);
    jasmine.clock().mockDate(new Date(Date.now() + 3_600_000));
    jasmine.clock().tick(1_000);
    expect(woken).toEqual([3_601_000]);
    jasmine.clock().tick(30_000);
    expect(woken.length).toBe(1);
    stop();
  });

  it('is noticed when the browser says that the page goes on, before any timer', () => {
    const woken: number[] = [];
    const stop = watchSleep((sleptMs) => woken.push(sleptMs));
    jasmine.clock().mockDate(new Date(Date.now() + ASLEEP_MS));
    document.dispatchEvent(new Event('resume'));
    expect(woken).toEqual([ASLEEP_MS]);
    stop();
    jasmine.clock().mockDate(new Date(Date.now() + ASLEEP_MS));
    document.dispatchEvent(new Event('resume'));
    expect(woken.length).toBe(1);
  });
});
