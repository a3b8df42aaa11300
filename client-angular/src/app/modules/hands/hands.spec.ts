import { LiveAnnouncer } from '@angular/cdk/a11y';
import { type ComponentFixture, TestBed } from '@angular/core/testing';
import type { Right } from '../../../../../protocol/rights.ts';
import type { Participant } from '../../../../../protocol/session.ts';
import { MEETING_MODULES } from '../../conference/meeting-module.ts';
import { Modules } from '../../conference/modules.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { person, snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Session } from '../../session/session.ts';
import { SessionError } from '../../session/session-error.ts';
import { HandsList } from './hands-list.ts';
import { handsModule } from './hands-module.ts';

const bert = person('Bert', 'luebeck.example');
const anna = person('Anna', 'hamburg.example');
const olaf = person('Olaf', 'hamburg.example');
const up = (of: Participant, raisedAt: number): Participant => ({ ...of, signals: { hand: { raisedAt } } });

describe('Raise hand / reactions: raised hands in the client', () => {
  let store: ConferenceStore;
  let request: jasmine.Spy;
  let said: jasmine.Spy;
  let fixture: ComponentFixture<HandsList>;

  beforeEach(() => {
    TestBed.configureTestingModule({
      providers: [{ provide: MEETING_MODULES, useFactory: handsModule, multi: true }, Modules, PeopleView],
    });
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    request = spyOn(TestBed.inject(Session), 'request').and.resolveTo({ unreached: [] } as never);
    store = TestBed.inject(ConferenceStore);
  });
  afterEach(() => jasmine.clock().uninstall());

  const module = () => TestBed.runInInjectionContext(() => handsModule());

  function enter(participants: Participant[], rights: Right[] = [], on = true): void {
    const loaded = snapshotOf({ participants, rights, modules: on ? { hands: { enabled: true } } : {} });
    store.load(loaded);
    module().joined?.(loaded);
    TestBed.tick();
  }

  function list(): HTMLElement {
    fixture = TestBed.createComponent(HandsList);
    fixture.detectChanges();
    return fixture.nativeElement as HTMLElement;
  }

  const texts = (): string[] => said.calls.allArgs().map(([text]) => String(text).replace(/[\u2068\u2069]/g, ''));
  const tick = (ms: number): void => {
    TestBed.tick();
    jasmine.clock().tick(ms);
  };

  function button() {
    const [found] = module().buttons ?? [];
    if (found?.kind !== 'toggle') throw new Error('no button');
    return found;
  }

  it('stand in the order in which they went up, whoever came first, with their numbers', () => {
    enter([bert, up(anna, 20), up(olaf, 10)]);
    const order = [...list().querySelectorAll('li')].map((row) => row.textContent.replace(/\s+/g, ''));
    expect(order).toEqual(['1OlafHamburg', '2AnnaHamburg']);
    expect(module().mark?.(up(anna, 20))).toEqual(
      jasmine.objectContaining({ text: '2', label: 'Hand raised, number 2' }),
    );
    expect(module().mark?.(bert)).toBeUndefined();
  });

  it('are a list once where people are grouped by them', () => {
    enter([bert, up(anna, 10)], ['lower-hands']);
    const view = TestBed.inject(PeopleView);
    view.groupBy('hands');
    const root = list();
    expect(root.querySelectorAll('li').length).toBe(0);
    expect(root.querySelector('[data-testid=lower-all]')).not.toBeNull();
    expect([up(anna, 10), bert].map((one) => view.grouping()?.place(one))).toEqual([1, undefined]);
    view.groupBy(undefined);
    fixture.detectChanges();
    expect(root.querySelectorAll('li').length).toBe(1);
  });

  it('are seen by who comes later, and announced when they go up afterwards, all in one sentence', () => {
    enter([bert, up(anna, 10)]);
    tick(10_000);
    expect(said).not.toHaveBeenCalled();
    store.apply('participant.joined', up(olaf, 20));
    tick(1_500);
    expect(texts()).toEqual(['Olaf (Hamburg) raised a hand.']);
    for (let count = 0; count < 30; count += 1) {
      store.apply('participant.joined', up(person(`Person ${String(count)}`, 'hamburg.example'), 100 + count));
      TestBed.tick();
    }
    tick(6_000);
    expect(texts().at(-1)).toBe('30 people raised a hand, first Person 0 (Hamburg).');
  });

  it('are not announced when they went down meanwhile, nor the own one', () => {
    enter([bert, anna]);
    store.apply('participant.changed', up(anna, 10));
    store.apply('participant.changed', up(bert, 11));
    TestBed.tick();
    store.apply('participant.changed', anna);
    tick(10_000);
    expect(said).not.toHaveBeenCalled();
  });

  it('are raised and lowered by one button, which says what it does', async () => {
    enter([bert, anna]);
    expect(button().pressed()).toBeFalse();
    expect(button().hint()).toBe('Show that you would like to speak');
    expect(await button().press()).toBe('Your hand is raised');
    expect(request).toHaveBeenCalledOnceWith('hands.raise', {});
    store.apply('participant.changed', up(bert, 10));
    expect(button().pressed()).toBeTrue();
    expect(button().hint()).toBe('Lower your hand again');
    expect(await button().press()).toBe('Your hand is down');
    expect(request.calls.mostRecent().args).toEqual(['hands.lower', {}]);
  });

  it('go up once, however often the button is pressed before the answer', async () => {
    enter([bert]);
    const presses = [button().press(), button().press(), button().press()];
    await Promise.all(presses);
    expect(request).toHaveBeenCalledTimes(1);
  });

  it('that could not be raised are told of in words', async () => {
    enter([bert]);
    request.and.rejectWith(new SessionError('connection-lost', 'gone'));
    expect(await button().press()).toBeUndefined();
    const [told] = TestBed.inject(Told).sentences();
    expect(told?.kind).toBe('error');
    expect(told?.text).toContain('Not done: the connection to your organisation’s server is interrupted.');
  });

  it('are lowered by those who have the right, one, several or all, and by nobody else', async () => {
    enter([bert, up(anna, 10)]);
    expect(list().querySelector('button')).toBeNull();
    expect(module().actionsOn?.([up(anna, 10)])).toEqual([]);
    store.apply('conference.changed', { roomId: '!r', title: '', rights: ['lower-hands'] });
    const root = list();
    root.querySelector<HTMLElement>('[data-testid=lower]')?.click();
    expect(request.calls.mostRecent().args).toEqual([
      'moderation.lower-hands',
      { participantIds: [anna.participantId] },
    ]);
    root.querySelector<HTMLElement>('[data-testid=lower-all]')?.click();
    expect(request.calls.mostRecent().args).toEqual(['hands.lower-all', {}]);
    module().actionsOnAll?.()[0]?.run();
    expect(request.calls.mostRecent().args).toEqual(['hands.lower-all', {}]);
    store.apply('participant.changed', up(olaf, 20));
    const several = module().actionsOn?.([bert, up(anna, 10), up(olaf, 20)]);
    expect(several?.map(({ text }) => text)).toEqual(['Lower hands (2)']);
    several?.[0]?.run();
    expect(request.calls.mostRecent().args).toEqual([
      'moderation.lower-hands',
      { participantIds: [anna.participantId, olaf.participantId] },
    ]);
    for (let turns = 0; turns < 10; turns += 1) await Promise.resolve();
    expect(texts()).toEqual(['The hand of Anna is down.', '2 hands are down.']);
    expect(root.querySelector('[data-testid=switch-hands]')).toBeNull();
  });

  it('can be switched off: the button stays in its place and says why it does nothing', () => {
    enter([bert, anna], ['switch-hands']);
    const root = list();
    root.querySelector<HTMLElement>('[data-testid=switch-hands]')?.click();
    expect(request.calls.mostRecent().args).toEqual(['hands.switch', { enabled: false }]);
    module().notifications?.['hands.changed']?.({ enabled: false });
    fixture.detectChanges();
    expect(button().off()).toBeTrue();
    expect(button().hint()).toBe('Raising hands is switched off in this meeting');
    expect(root.textContent).toContain('Allow raising hands');
    tick(1_500);
    expect(texts()).toEqual(['Raising hands was switched off.']);
  });

  it('that were off on entry are shown to those who may switch them on, and to all as soon as that is done', () => {
    enter([bert], [], false);
    expect(module().on?.()).toBeFalse();
    enter([bert], ['switch-hands'], false);
    expect(module().on?.()).toBeTrue();
    expect(button().off()).toBeTrue();
    enter([bert], [], false);
    module().notifications?.['hands.changed']?.({ enabled: true });
    expect(module().on?.()).toBeTrue();
    expect(button().off()).toBeFalse();
  });

  it('that somebody else has lowered are told of, with the name', () => {
    enter([bert]);
    module().notifications?.['hands.lowered']?.({ by: 'Clara' });
    expect(TestBed.inject(Told).sentences()[0]?.text).toBe('\u2068Clara\u2069 has lowered your hand.');
  });

  it('have no button in a meeting without them, and leave nothing behind', () => {
    enter([bert, up(anna, 10)]);
    expect(module().on?.()).toBeTrue();
    store.clear();
    module().left?.();
    expect(module().on?.()).toBeFalse();
    // In the next meeting nobody's hand is news.
    enter([bert, up(olaf, 10)]);
    tick(10_000);
    expect(said).not.toHaveBeenCalled();
  });
});
