import { TestBed } from '@angular/core/testing';
import { LUEBECK, person, snapshotOf } from './snapshot-for-specs.ts';
import { ConferenceStore } from './store.ts';

const bert = person('bert', 'luebeck.example', { joinedAt: 20 });
const anna = person('anna', 'hamburg.example', { joinedAt: 10 });
const snapshot = snapshotOf({
  rights: ['invite'],
  participants: [anna, bert],
  organisations: [LUEBECK],
  links: [{ organisation: 'hamburg.example', state: 'connected', since: 0 }],
});

describe('The state of the conference', () => {
  let store: ConferenceStore;
  beforeEach(() => {
    store = TestBed.inject(ConferenceStore);
    store.load(snapshot);
  });

  const names = (): string[] => store.participants().map(({ displayName }) => displayName);

  it('knows whose media comes over a link', () => {
    expect([anna, bert].map(({ participantId }) => store.comesByLink(participantId))).toEqual([true, false]);
    expect(store.comesByLink('@nobody:kiel.example|D')).toBeFalse();
  });

  it('has the own person first and the others in the order of joining, wherever a change comes', () => {
    store.apply('participant.joined', person('jens', 'hamburg.example', { joinedAt: 30 }));
    store.apply('participant.changed', { ...anna, sources: [{ source: 'camera', paused: false }] });
    expect(names()).toEqual(['bert', 'anna', 'jens']);
    expect(store.participant(anna.participantId)?.sources.length).toBe(1);
  });

  it('moves nobody when the time of joining is renewed, or is of a clock that goes wrong', () => {
    store.apply('participant.joined', person('jens', 'hamburg.example', { joinedAt: -700_000 }));
    store.apply('participant.changed', { ...anna, joinedAt: 9_000_000 });
    expect(names()).toEqual(['bert', 'anna', 'jens']);
  });

  it('moves nobody when it enters anew after an interruption, and puts who came meanwhile at the end', () => {
    const jens = person('jens', 'hamburg.example', { joinedAt: 30 });
    const clara = person('clara', 'luebeck.example', { joinedAt: 5 });
    store.apply('participant.joined', jens);
    store.load({ ...snapshot, participants: [clara, bert, jens, anna] });
    expect(names()).toEqual(['bert', 'anna', 'jens', 'clara']);
  });

  it('counts how long a link has its state by the own clock, from when it learned of it', () => {
    jasmine.clock().withMock(() => {
      const now = 1_800_000_000_000;
      jasmine.clock().mockDate(new Date(now));
      // The server is 12 minutes ahead, then behind.
      const interrupted = { organisation: 'hamburg.example', state: 'interrupted' as const, since: now + 720_000 };
      store.apply('link.changed', interrupted);
      expect(store.link('hamburg.example')?.since).toBe(now);
      jasmine.clock().tick(10_000);
      store.apply('link.changed', { ...interrupted, hop: 'federation', since: now - 720_000 });
      store.load({ ...snapshot, links: [interrupted] });
      expect(store.link('hamburg.example')?.since).toBe(now);
      store.apply('link.changed', { organisation: 'hamburg.example', state: 'connected', since: 0 });
      expect(store.link('hamburg.example')?.since).toBe(now + 10_000);
    });
  });

  it('follows title and rights of the running meeting', () => {
    expect(store.rights()).toEqual(snapshot.rights);
    store.apply('conference.changed', { roomId: '!r', title: 'Another title', rights: ['mute'] });
    store.apply('conference.changed', { roomId: '!other', title: 'Not this', rights: [] });
    expect(store.title()).toBe('Another title');
    expect(store.rights()).toEqual(['mute']);
  });

  it('forgets a link with the last participant of its organisation', () => {
    const jens = person('jens', 'hamburg.example', { joinedAt: 30 });
    store.apply('participant.joined', jens);
    store.apply('participant.left', { participantId: anna.participantId, reason: 'left' });
    expect(store.links().length).toBe(1);
    store.apply('participant.left', { participantId: jens.participantId, reason: 'lost' });
    expect(store.links()).toEqual([]);
    expect(names()).toEqual(['bert']);
  });

  it('nobody who has left goes on speaking', () => {
    store.apply('speaking', { participantIds: [anna.participantId] });
    store.apply('participant.left', { participantId: anna.participantId, reason: 'left' });
    expect(store.speaking().size).toBe(0);
  });

  it('shows an organisation by its server name until it is introduced', () => {
    expect(store.organisation('hamburg.example').displayName).toBe('hamburg.example');
    store.apply('organisation.seen', { serverName: 'hamburg.example', displayName: 'Hamburg', colour: '#1c4f9c' });
    expect(store.organisation('hamburg.example').displayName).toBe('Hamburg');
  });

  it('takes a new snapshot as the whole truth', () => {
    store.load({ ...snapshot, participants: [bert], links: [] });
    expect(names()).toEqual(['bert']);
    expect(store.links()).toEqual([]);
  });
});
