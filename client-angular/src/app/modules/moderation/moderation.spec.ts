import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import type { Right } from '../../../../../protocol/rights.ts';
import type { Participant } from '../../../../../protocol/session.ts';
import type { MeetingAction, MeetingModule } from '../../conference/meeting-module.ts';
import { person, snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { Session } from '../../session/session.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';
import type { Question } from '../../shared/question-dialog.ts';
import { moderationModule } from './moderation-module.ts';

const speaks: Partial<Participant> = { sources: [{ source: 'microphone', paused: false }] };
const bert = person('Bert', 'luebeck.example', { ...speaks, role: 'moderator' });
const anna = person('Anna', 'hamburg.example', speaks);
/** With camera and screen, and without microphone. */
const shows = person('Ute', 'hamburg.example', {
  sources: [
    { source: 'camera', paused: false },
    { source: 'screen', paused: false },
  ],
});
const olaf = person('Olaf', 'hamburg.example', { sources: [{ source: 'microphone', paused: true }] });

describe('Moderation in the client', () => {
  let store: ConferenceStore;
  let request: jasmine.Spy;
  let said: jasmine.Spy;
  let module: MeetingModule;
  let answer: boolean | string | undefined;
  let questions: Question[];

  beforeEach(() => {
    answer = true;
    questions = [];
    const ask = (_load: unknown, { data }: { data: Question }): Promise<unknown> => {
      questions.push(data);
      return Promise.resolve(answer);
    };
    TestBed.configureTestingModule({
      providers: [{ provide: OwnDialogs, useValue: { ask, close: () => undefined } }],
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

  const entries = (...people: Participant[]): string[] => (module.actionsOn?.(people) ?? []).map(({ name }) => name);
  const press = async (name: string, ...people: Participant[]): Promise<void> => {
    const action = module.actionsOn?.(people).find((candidate) => candidate.name === name);
    if (!action) throw new Error(`There is no ${name}.`);
    action.run();
    await settled();
  };
  const forAll = (name: string): MeetingAction | undefined =>
    module.actionsOnAll?.().find((candidate) => candidate.name === name);
  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
  const told = (): string[] =>
    TestBed.inject(Told)
      .sentences()
      .map(({ text }) => text.replace(/[\u2068\u2069]/g, ''));
  const texts = (): string[] => said.calls.allArgs().map(([text]) => String(text).replace(/[\u2068\u2069]/g, ''));
  const asked = (): string[] => questions.map(({ name }) => name);

  it('offers what the rights allow, about others, and only what changes something', () => {
    enter([]);
    expect(entries(anna)).toEqual([]);
    expect(module.actionsOnAll?.()).toEqual([]);
    enter(['mute', 'camera-off', 'stop-share', 'ask-unmute']);
    expect(entries(anna)).toEqual(['mute-person']);
    expect(entries(olaf)).toEqual(['ask-unmute']);
    expect(entries(shows)).toEqual(['ask-unmute', 'camera-off', 'stop-share']);
    expect(entries(bert)).toEqual([]);
    // Of an organisation that has not told yet nobody knows.
    expect(entries({ ...olaf, sourcesKnown: false })).toEqual(['mute-person', 'camera-off', 'stop-share']);
  });

  it('takes nobody out and renames nobody of the same or a higher role', () => {
    enter(['remove', 'ban', 'rename-others']);
    const out = ['send-to-waiting', 'remove-person', 'ban-person'];
    expect(entries(anna)).toEqual(out);
    expect(entries({ ...anna, role: 'moderator' })).toEqual([]);
    expect(entries({ ...anna, role: 'owner' })).toEqual([]);
    expect(entries({ ...anna, role: 'guest', guest: true })).toEqual(['rename-person', ...out]);
  });

  it('gives roles as far as the own role goes, and offers nobody the role that somebody has', () => {
    enter(['appoint']);
    expect(entries(anna)).toEqual(['make-moderator']);
    expect(entries({ ...anna, role: 'moderator' })).toEqual([]);
    enter(['appoint'], [{ ...bert, role: 'owner' }, anna]);
    expect(entries(anna)).toEqual(['make-moderator', 'make-owner']);
    expect(entries({ ...anna, role: 'moderator' })).toEqual(['make-owner', 'take-role']);
    expect(entries({ ...anna, role: 'owner' })).toEqual([]);
    expect(entries(anna, olaf)).toEqual([]);
  });

  it('acts on several at once, on those of them whom it concerns, and says how many these are', async () => {
    enter(['mute', 'ask-unmute', 'remove']);
    const both = [bert, anna, olaf, { ...shows, role: 'owner' as const }];
    expect(module.actionsOn?.(both).map(({ text }) => text)).toEqual([
      'Mute (1)',
      'Ask to unmute (2)',
      'Send to the waiting room (2)',
      'Remove from the meeting … (2)',
    ]);
    await press('ask-unmute', ...both);
    expect(request).toHaveBeenCalledOnceWith('moderation.ask-unmute', {
      participantIds: [olaf.participantId, shows.participantId],
    });
    expect(texts()).toEqual(['2 people are asked to turn on their microphones.']);
  });

  it('mutes all others with one button, which keeps its place and tells when there is nobody to mute', async () => {
    enter(['mute']);
    expect(forAll('mute-all')?.place).toBe('head');
    forAll('mute-all')?.run();
    await settled();
    expect(request).toHaveBeenCalledOnceWith('moderation.mute', { participantIds: [anna.participantId] });
    expect(texts()).toEqual(['Anna is muted.']);
    enter(['mute'], [bert, olaf]);
    expect(forAll('mute-all')?.off).toBe('Nobody else has the microphone on.');
  });

  for (const [name, method, sentence] of [
    ['mute-person', 'moderation.mute', 'Anna is muted.'],
    ['camera-off', 'moderation.camera-off', 'The camera of Anna is off.'],
    ['stop-share', 'moderation.stop-share', 'Anna no longer shows the screen.'],
    ['send-to-waiting', 'moderation.send-to-waiting', 'Anna is in the waiting room.'],
  ] as const) {
    it(`does ${name} without a question, and says so`, async () => {
      enter(['mute', 'camera-off', 'stop-share', 'remove']);
      await press(name, { ...anna, sources: [...anna.sources, ...shows.sources] });
      expect(asked()).toEqual([]);
      expect(request).toHaveBeenCalledOnceWith(method, { participantIds: [anna.participantId] });
      expect(texts()).toEqual([sentence]);
    });
  }

  for (const [name, method, sentence] of [
    ['remove-person', 'moderation.remove', '2 people were removed from the meeting.'],
    ['ban-person', 'moderation.ban', '2 people were banned from the meeting.'],
  ] as const) {
    it(`asks before ${name}, and names whom it is about`, async () => {
      enter(['remove', 'ban']);
      answer = undefined;
      await press(name, anna, olaf);
      expect(request).not.toHaveBeenCalled();
      expect(questions[0]?.people).toEqual([
        { name: 'Anna', organisation: 'Hamburg' },
        { name: 'Olaf', organisation: 'Hamburg' },
      ]);
      answer = true;
      await press(name, anna, olaf);
      expect(request).toHaveBeenCalledOnceWith(method, { participantIds: [anna.participantId, olaf.participantId] });
      expect(texts()).toEqual([sentence]);
    });
  }

  it('says which organisation could not be reached, and what that means', async () => {
    enter(['mute', 'remove']);
    request.and.resolveTo({ unreached: ['hamburg.example'] });
    await press('mute-person', anna);
    await press('remove-person', anna);
    expect(told()).toEqual([
      'Hamburg could not be reached: whoever was to be muted may still be heard there.',
      'Hamburg could not be reached: whoever is out of this meeting now may still be seen and heard there.',
    ]);
    expect(said).not.toHaveBeenCalled();
  });

  it('gives a guest another name', async () => {
    enter(['rename-others']);
    answer = 'Frau Petersen';
    const guest = person('Gast', 'hamburg.example', { role: 'guest', guest: true });
    await press('rename-person', guest);
    expect(request).toHaveBeenCalledOnceWith('moderation.rename', {
      participantId: guest.participantId,
      displayName: 'Frau Petersen',
    });
    expect(texts()).toEqual(['Gast is called Frau Petersen now.']);
    answer = 'Gast';
    await press('rename-person', guest);
    expect(request).toHaveBeenCalledTimes(1);
  });

  it('asks before a role that whoever gives it could not take back', async () => {
    enter(['appoint']);
    await press('make-moderator', anna);
    expect(asked()).toEqual(['moderator']);
    expect(request).toHaveBeenCalledOnceWith('roles.set', { userId: anna.userId, role: 'moderator' });
    enter(['appoint'], [{ ...bert, role: 'owner' }, anna]);
    await press('make-moderator', anna);
    await press('make-owner', anna);
    await press('take-role', { ...anna, role: 'moderator' });
    expect(asked()).toEqual(['moderator', 'owner']);
    expect(request.calls.allArgs().map(([, params]) => (params as { role: string }).role)).toEqual([
      'moderator',
      'moderator',
      'owner',
      'participant',
    ]);
    expect(texts().at(-1)).toBe('Anna does not moderate this meeting any more.');
  });

  it('ends the meeting for guests, for all but those who lead, and for all: where there are such people, and asks', async () => {
    const ends = (): string[] => (module.actionsOnAll?.() ?? []).map(({ name }) => name);
    enter(['end'], [bert]);
    expect(ends()).toEqual(['end-everybody']);
    enter(['end'], [bert, anna]);
    expect(ends()).toEqual(['end-participants', 'end-everybody']);
    enter(['end'], [bert, { ...anna, role: 'guest', guest: true }]);
    expect(ends()).toEqual(['end-guests', 'end-participants', 'end-everybody']);
    forAll('end-participants')?.run();
    await settled();
    expect(asked()).toEqual(['end']);
    expect(request).toHaveBeenCalledOnceWith('moderation.end', { for: 'participants' });
    expect(texts()).toEqual(['The meeting has ended for all but those who lead it.']);
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

  it('asks whoever is to speak, and turns nothing on without an answer', async () => {
    enter([]);
    const local = TestBed.inject(LocalMedia);
    const asked = { action: 'ask-unmute', by: 'Anna', organisation: 'hamburg.example' } as const;
    answer = false;
    module.notifications?.['moderation.done']?.(asked);
    await settled();
    expect(local.microphone().on).toBeFalse();
    answer = true;
    module.notifications?.['moderation.done']?.(asked);
    await settled();
    expect(local.microphone().on).toBeTrue();
  });

  it('says who has switched off the camera, ended a share and changed the name', async () => {
    enter([]);
    await TestBed.inject(LocalMedia).turn('camera', true);
    const by = { by: '\u202eAnna', organisation: 'hamburg.example' };
    for (const action of ['camera-off', 'stop-share', 'rename'] as const) {
      module.notifications?.['moderation.done']?.({ action, ...by, displayName: 'Jens' });
    }
    expect(TestBed.inject(LocalMedia).camera().on).toBeFalse();
    expect(told()).toEqual([
      '\u202eAnna (Hamburg) has switched off your camera. You can turn it on again.',
      '\u202eAnna (Hamburg) has ended what you shared. You can share again.',
      '\u202eAnna (Hamburg) has changed your name: you are Jens here now.',
    ]);
    const [first] = TestBed.inject(Told).sentences();
    expect(first?.text)
      .withContext('a name turns nothing around it')
      .toMatch(/^\u2068\u202eAnna\u2069 /);
  });

  it('says how long the meeting still lasts', () => {
    enter([]);
    module.notifications?.['moderation.time-limit']?.({ minutes: 5 });
    module.notifications?.['moderation.time-limit']?.({ minutes: 1 });
    expect(told()).toEqual([
      'The meeting ends in 5 minutes, for everybody. Whoever leads it can extend it.',
      'The meeting ends in one minute, for everybody. Whoever leads it can extend it.',
    ]);
  });

  it('tells nobody of being muted who was silent anyway', () => {
    enter([]);
    module.notifications?.['moderation.done']?.({ action: 'mute', by: 'Anna', organisation: 'hamburg.example' });
    expect(told()).toEqual([]);
  });
});
