import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import type { Reaction } from '../../../../../protocol/modules/reactions.ts';
import type { ConferenceSnapshot } from '../../../../../protocol/session.ts';
import type { MeetingModule } from '../../conference/meeting-module.ts';
import { snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Session } from '../../session/session.ts';
import { SessionError } from '../../session/session-error.ts';
import { reactionsModule } from './reactions-module.ts';
import { ShownReactionsList } from './shown-reactions.ts';

describe('Raise hand / reactions: reactions in the client', () => {
  let module: MeetingModule;
  let request: jasmine.Spy;
  let said: jasmine.Spy;

  beforeEach(() => {
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    request = spyOn(TestBed.inject(Session), 'request').and.resolveTo({});
    module = TestBed.runInInjectionContext(() => reactionsModule());
    enter({ reactions: { enabled: true } });
  });
  afterEach(() => jasmine.clock().uninstall());

  function enter(modules: ConferenceSnapshot['modules']): void {
    TestBed.inject(ConferenceStore).load(snapshotOf({ modules }));
    module.joined?.(snapshotOf({ modules }));
  }

  function receive(organisation: string, counts: Partial<Record<Reaction, number>>): void {
    module.notifications?.['reactions.shown']?.({
      organisation,
      counts: Object.entries(counts).map(([reaction, count]) => ({ reaction: reaction as Reaction, count })),
    });
  }

  function stage() {
    const fixture = TestBed.createComponent(ShownReactionsList);
    fixture.detectChanges();
    return () => {
      fixture.detectChanges();
      const lines = [...(fixture.nativeElement as HTMLElement).querySelectorAll('[data-testid=shown-reactions]')];
      return lines.map(({ textContent }) => textContent.replace(/\s+/g, ''));
    };
  }

  const texts = (): string[] => said.calls.allArgs().map(([text]) => String(text).replace(/[\u2068\u2069]/g, ''));

  function button() {
    const [found] = module.buttons ?? [];
    if (found?.kind !== 'menu') throw new Error('no button');
    return found;
  }

  it('are eight, each with a word, and sent by one press', () => {
    expect(
      button()
        .items()
        .map(({ text, glyph }) => `${glyph ?? ''} ${text}`),
    ).toEqual([
      '👏 Applause',
      '👍 Agreement',
      '👎 Disagreement',
      '❤️ Thank you',
      '😄 Laughter',
      '😮 Surprise',
      '🎉 Congratulations',
      '🤔 Thinking',
    ]);
    button().items()[0]?.run();
    expect(request).toHaveBeenCalledOnceWith('reactions.send', { reaction: 'clap' });
  });

  it('stand summed for each organisation, and go some seconds after its last one', () => {
    const shown = stage();
    receive('hamburg.example', { clap: 40 });
    receive('luebeck.example', { heart: 1 });
    jasmine.clock().tick(4_000);
    receive('hamburg.example', { clap: 160, laugh: 2 });
    expect(shown()).toEqual(['Hamburg👏Applause200😄Laughter2', 'Lübeck❤️Thankyou1']);
    jasmine.clock().tick(1_000);
    expect(shown()).toEqual(['Hamburg👏Applause200😄Laughter2']);
    jasmine.clock().tick(4_000);
    expect(shown()).toEqual([]);
    receive('hamburg.example', { clap: 1 });
    expect(shown()).toEqual(['Hamburg👏Applause1']);
  });

  it('are announced politely and summed, at most every few seconds', () => {
    for (let second = 0; second < 30; second += 1) {
      receive('hamburg.example', { clap: 10 });
      jasmine.clock().tick(1_000);
    }
    expect(said.calls.count()).toBeLessThan(6);
    expect(texts()[0]).toBe('Reactions of Hamburg: Applause 20.');
    expect(said.calls.mostRecent().args[1]).toBe('polite');
  });

  it('can be switched off: the button stays in its place and says why it does nothing', () => {
    module.notifications?.['reactions.changed']?.({ enabled: false });
    expect(module.on?.()).toBeTrue();
    expect(button().off()).toBeTrue();
    expect(button().hint()).toBe('Reactions are switched off in this meeting');
    jasmine.clock().tick(1_500);
    expect(texts()).toEqual(['Reactions were switched off.']);
  });

  it('are switched in their menu, by those who have the right', () => {
    const last = () => button().items().at(-1);
    expect(button().items().length).toBe(8);
    TestBed.inject(ConferenceStore).apply('conference.changed', {
      roomId: '!r',
      title: '',
      rights: ['switch-reactions'],
    });
    expect(last()?.text).toBe('Switch reactions off');
    last()?.run();
    expect(request.calls.mostRecent().args).toEqual(['reactions.switch', { enabled: false }]);
    module.notifications?.['reactions.changed']?.({ enabled: false });
    expect(button().off()).toBeFalse();
    expect(
      button()
        .items()
        .map(({ text }) => text),
    ).toEqual(['Allow reactions']);
    last()?.run();
    expect(request.calls.mostRecent().args).toEqual(['reactions.switch', { enabled: true }]);
  });

  it('that are refused are told of in words', async () => {
    request.and.rejectWith(new SessionError('too-many-requests', 'slow down'));
    button().items()[0]?.run();
    await Promise.resolve();
    await Promise.resolve();
    expect(TestBed.inject(Told).sentences()[0]?.text).toBe('Not done: that was too fast. Wait a moment.');
  });

  it('have no button in a meeting without them, and leave nothing behind', () => {
    const shown = stage();
    receive('hamburg.example', { clap: 1 });
    module.left?.();
    expect(module.on?.()).toBeFalse();
    expect(shown()).toEqual([]);
    receive('hamburg.example', { clap: 1 });
    expect(shown()).toEqual([]);
  });
});
