import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import { NO_RULES } from '../../../../../protocol/modules/rules.ts';
import type { Right } from '../../../../../protocol/rights.ts';
import type { MeetingAction, MeetingModule } from '../../conference/meeting-module.ts';
import { snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Session } from '../../session/session.ts';
import { rulesModule } from './rules-module.ts';

const LOCKED = { ...NO_RULES, lock: { locked: true } };

describe('Rules of the meeting: the lock', () => {
  let module: MeetingModule;
  let request: jasmine.Spy;

  beforeEach(() => {
    request = spyOn(TestBed.inject(Session), 'request').and.resolveTo({});
    module = TestBed.runInInjectionContext(() => rulesModule());
  });

  function enter(rights: Right[], rules = NO_RULES): void {
    const loaded = snapshotOf({ rights, modules: { rules } });
    TestBed.inject(ConferenceStore).load(loaded);
    module.joined?.(loaded);
  }
  const lock = (): MeetingAction | undefined => module.actionsOnAll?.().find(({ name }) => name === 'lock');

  it('stands at the head of the people panel for those who set rules, and for nobody else', () => {
    enter([]);
    expect(lock()).toBeUndefined();
    enter(['set-rules']);
    expect(lock()?.place).toBe('head');
    expect(lock()?.pressed).toBeFalse();
    enter(['set-rules'], LOCKED);
    expect(lock()?.pressed).toBeTrue();
  });

  it('is what the meeting says, whatever was asked for', () => {
    enter(['set-rules']);
    lock()?.run();
    expect(request).toHaveBeenCalledOnceWith('rules.set', { rule: 'lock', value: { locked: true } });
    expect(lock()?.pressed).toBeFalse();
    module.notifications?.['rules.changed']?.(LOCKED);
    expect(lock()?.pressed).toBeTrue();
    lock()?.run();
    expect(request.calls.mostRecent().args[1]).toEqual({ rule: 'lock', value: { locked: false } });
    module.left?.();
    expect(lock()?.pressed).toBeFalse();
  });

  it('is announced when it changes, once', () => {
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    const said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    enter([]);
    module.notifications?.['rules.changed']?.(LOCKED);
    module.notifications?.['rules.changed']?.(LOCKED);
    jasmine.clock().tick(10_000);
    jasmine.clock().uninstall();
    expect(said.calls.allArgs().map(([text]) => String(text))).toEqual([
      'The meeting is locked: nobody but those who lead it enters.',
    ]);
  });
});
