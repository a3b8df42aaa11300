import { TestBed } from '@angular/core/testing';
import { WallClock } from './wall-clock.ts';

describe('The time of day', () => {
  beforeEach(() =>
    jasmine
      .clock()
      .install()
      .mockDate(new Date(2027, 2, 1, 11, 59, 30)),
  );
  afterEach(() => {
    TestBed.resetTestingModule();
    jasmine.clock().uninstall();
  });

  it('moves on with every minute', () => {
    const { now } = TestBed.inject(WallClock);
    jasmine.clock().tick(29_000);
    expect(new Date(now()).getMinutes()).toBe(59);
    jasmine.clock().tick(1_000);
    expect(new Date(now()).getHours()).toBe(12);
    jasmine.clock().tick(60_000);
    expect(new Date(now()).getMinutes()).toBe(1);
  });

  it('is right at once when a tab that slept is looked at again', () => {
    const { now } = TestBed.inject(WallClock);
    jasmine.clock().mockDate(new Date(2027, 2, 2, 9));
    document.dispatchEvent(new Event('visibilitychange'));
    expect(new Date(now()).getDate()).toBe(2);
  });
});
