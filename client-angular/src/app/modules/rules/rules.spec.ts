import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import { NO_RULES } from '../../../../../protocol/modules/rules.ts';
import type { Right } from '../../../../../protocol/rights.ts';
import type { MeetingAction, MeetingModule } from '../../conference/meeting-module.ts';
import { Restrictions } from '../../conference/restrictions.ts';
import { person, snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Session } from '../../session/session.ts';
import { rulesModule } from './rules-module.ts';

const LOCKED = { ...NO_RULES, lock: { locked: true } };

describe('Mute / mic restriction: the rules of the meeting in the client', () => {
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

  const bert = person('Bert', 'luebeck.example');
  const restricted = (allow: string[] = []) => ({ ...NO_RULES, microphone: { restricted: true, allow } });

  it('restrict what the others send, and let people through by name', () => {
    enter(['set-rules']);
    const action = (): MeetingAction | undefined =>
      module.actionsOnAll?.().find(({ name }) => name === 'restrict-microphone');
    expect(action()?.place).toBe('more');
    expect(action()?.text).toBe('Restrict microphones');
    expect(module.actionsOn?.([bert])).toEqual([]);
    action()?.run();
    expect(request.calls.mostRecent().args[1]).toEqual({ rule: 'microphone', value: { restricted: true, allow: [] } });
    module.notifications?.['rules.changed']?.(restricted());
    expect(action()?.text).toBe('Let everybody turn on the microphone');
    const [allow] = module.actionsOn?.([bert]) ?? [];
    expect(allow?.text).toBe('Allow the microphone');
    allow?.run();
    expect(request.calls.mostRecent().args[1]).toEqual({
      rule: 'microphone',
      value: { restricted: true, allow: [bert.userId] },
    });
    module.notifications?.['rules.changed']?.(restricted([bert.userId]));
    expect(module.actionsOn?.([bert])[0]?.text).toBe('Do not allow the microphone any more');
  });

  it('say why a button does nothing, what was stopped by whom, and that it may go on', () => {
    const loaded = snapshotOf({ participants: [bert], modules: { rules: NO_RULES } });
    TestBed.inject(ConferenceStore).load(loaded);
    module.joined?.(loaded);
    const texts = (): string[] =>
      TestBed.inject(Told)
        .sentences()
        .map(({ text }) => text.replace(/[\u2066-\u2069]/g, ''));
    const restrictions = TestBed.inject(Restrictions);
    expect(restrictions.reason('microphone')).toBeUndefined();
    module.notifications?.['rules.changed']?.(restricted());
    expect(restrictions.reason('microphone')).toContain('have restricted microphones');
    module.notifications?.['rules.stopped']?.({ source: 'microphone', by: 'Anna', organisation: 'hamburg.example' });
    expect(texts()).toEqual([jasmine.stringMatching(/^Anna \(.*\) has restricted microphones: yours is off\.$/)]);
    module.notifications?.['rules.changed']?.(restricted([bert.userId]));
    expect(restrictions.holds('microphone')).toBeFalse();
    expect(texts()).toContain('You may use your microphone again.');
  });
});
