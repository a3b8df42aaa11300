import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import type { Right } from '../../../../../protocol/rights.ts';
import type { Participant } from '../../../../../protocol/session.ts';
import type { MeetingModule } from '../../conference/meeting-module.ts';
import { person, snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { Session } from '../../session/session.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';
import { moderationModule } from './moderation-module.ts';

const speaks: Partial<Participant> = { sources: [{ source: 'microphone', paused: false }] };
const bert = person('Bert', 'luebeck.example', { ...speaks, role: 'moderator' });
const anna = person('Anna', 'hamburg.example', speaks);
const olaf = person('Olaf', 'hamburg.example', { sources: [{ source: 'microphone', paused: true }] });

describe('Moderation in the client', () => {
  let store: ConferenceStore;
  let request: jasmine.Spy;
  let said: jasmine.Spy;
  let module: MeetingModule;
  let answer: boolean | undefined;

  beforeEach(() => {
    answer = true;
    TestBed.configureTestingModule({
      providers: [{ provide: OwnDialogs, useValue: { ask: () => Promise.resolve(answer), close: () => undefined } }],
    });
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    request = spyOn(TestBed.inject(Session), 'request').and.resolveTo({ unreached: [] } as never);
    store = TestBed.inject(ConferenceStore);
    module = TestBed.runInInjectionContext(() => moderationModule());
  });
  afterEach(() => TestBed.inject(LocalMedia).release());

  function enter(rights: Right[], participants = [bert, anna, olaf]): void {
    store.load(snapshotOf({ rights, participants }));
  }

  const names = (of: Participant): string[] => (module.actionsOn?.([of]) ?? []).map(({ name }) => name);
  const press = async (of: Participant, name: string): Promise<void> => {
    module
      .actionsOn?.([of])
      .find((action) => action.name === name)
      ?.run();
    await settled();
  };
  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
  const told = (): string[] =>
    TestBed.inject(Told)
      .sentences()
      .map(({ text }) => text.replace(/[\u2068\u2069]/g, ''));
  const texts = (): string[] => said.calls.allArgs().map(([text]) => String(text).replace(/[\u2068\u2069]/g, ''));

  it('offers what the rights allow, about others, and muting only of who can be heard', () => {
    enter([]);
    expect(names(anna)).toEqual([]);
    expect(module.actionsOnAll?.()).toEqual([]);
    enter(['mute']);
    expect(names(anna)).toEqual(['mute-person']);
    expect(names(olaf)).toEqual([]);
    enter(['mute', 'remove']);
    expect(names(olaf)).toEqual(['remove-person']);
    expect(names(bert)).toEqual([]);
    expect(module.actionsOnAll?.().map(({ text }) => text)).toEqual(['Mute all others']);
    enter(['mute', 'remove'], [bert, olaf]);
    expect(module.actionsOnAll?.()).toEqual([]);
  });

  it('offers nobody the removal of somebody of the same or a higher role', () => {
    enter(['mute', 'remove']);
    expect(names({ ...anna, role: 'moderator' })).toEqual(['mute-person']);
    expect(names({ ...anna, role: 'owner' })).toEqual(['mute-person']);
    expect(names({ ...anna, role: 'guest' })).toEqual(['mute-person', 'remove-person']);
  });

  it('mutes one and says so', async () => {
    enter(['mute']);
    await press(anna, 'mute-person');
    expect(request).toHaveBeenCalledOnceWith('moderation.mute', { participantIds: [anna.participantId] });
    expect(texts()).toEqual(['Anna is muted.']);
  });

  it('mutes all others, in requests of the size that the server takes', async () => {
    const many = Array.from({ length: 501 }, (_, count) => person(`P${String(count)}`, 'hamburg.example', speaks));
    enter(['mute'], [bert, olaf, ...many]);
    module.actionsOnAll?.()[0]?.run();
    await settled();
    const asked = request.calls.allArgs().map(([, params]) => (params as { participantIds: string[] }).participantIds);
    expect(asked.map(({ length }) => length)).toEqual([500, 1]);
    expect(asked.flat()).not.toContain(bert.participantId);
    expect(texts()).toEqual(['501 people are muted.']);
  });

  it('says which organisation could not be reached, and what that means', async () => {
    enter(['mute', 'remove']);
    request.and.resolveTo({ unreached: ['hamburg.example'] });
    await press(anna, 'mute-person');
    await press(anna, 'remove-person');
    expect(told()).toEqual([
      'Hamburg could not be reached: whoever was to be muted may still be heard there.',
      'Hamburg could not be reached: Anna may still be seen and heard there.',
    ]);
    expect(said).not.toHaveBeenCalled();
  });

  it('asks before it removes somebody', async () => {
    enter(['remove']);
    answer = undefined;
    await press(anna, 'remove-person');
    expect(request).not.toHaveBeenCalled();
    answer = true;
    await press(anna, 'remove-person');
    expect(request).toHaveBeenCalledOnceWith('moderation.remove', { participantIds: [anna.participantId] });
    expect(texts()).toEqual(['Anna was removed from the meeting.']);
  });

  it('turns the microphone off at once when somebody else has muted it, says who, and lets it be turned on again', async () => {
    enter([]);
    const local = TestBed.inject(LocalMedia);
    await local.turn('microphone', true);
    const { track } = local.microphone();
    module.notifications?.['moderation.done']?.({ action: 'mute', by: 'Anna', organisation: 'hamburg.example' });
    expect(local.microphone().on).toBeFalse();
    expect(track?.readyState).toBe('ended');
    expect(told()).toEqual(['Anna (Hamburg) has muted you. You can turn your microphone on again.']);
    await local.turn('microphone', true);
    expect(local.microphone().on).toBeTrue();
  });

  it('tells nobody of being muted who was silent anyway', () => {
    enter([]);
    module.notifications?.['moderation.done']?.({ action: 'mute', by: 'Anna', organisation: 'hamburg.example' });
    expect(told()).toEqual([]);
  });
});
