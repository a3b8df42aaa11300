import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import { Announcements } from './announcements.ts';

describe('Accessibility: announcements', () => {
  let announcements: Announcements;
  let said: jasmine.Spy;

  beforeEach(() => {
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    announcements = TestBed.inject(Announcements);
  });
  afterEach(() => jasmine.clock().uninstall());

  it('of several subjects are one, politely, and of each subject what is true when it is said', () => {
    announcements.plan('hands', () => 'one hand.');
    announcements.plan('chat', () => 'one message.');
    announcements.plan('hands', () => 'two hands.');
    jasmine.clock().tick(1_500);
    expect(said.calls.allArgs()).toEqual([['two hands. one message.', 'polite']]);
  });

  it('come at most every few seconds, and not at all when there is nothing to say any more', () => {
    for (let count = 0; count < 100; count += 1) {
      announcements.plan('hands', () => `${String(count)} hands.`);
      jasmine.clock().tick(200);
    }
    expect(said.calls.count()).toBe(4);
    jasmine.clock().tick(10_000);
    said.calls.reset();
    announcements.plan('hands', () => '');
    jasmine.clock().tick(10_000);
    expect(said).not.toHaveBeenCalled();
  });

  it('of a meeting that is left are not made', () => {
    announcements.plan('hands', () => 'one hand.');
    announcements.silence();
    jasmine.clock().tick(10_000);
    expect(said).not.toHaveBeenCalled();
  });
});
