import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import { Session } from '../session/session.ts';
import { SessionError } from '../session/session-error.ts';
import { Orders, type OrderTexts } from './orders.ts';
import { person, snapshotOf } from './snapshot-for-specs.ts';
import { ConferenceStore } from './store.ts';
import { Told } from './told.ts';

const texts: OrderTexts = {
  one: (name) => `one ${name}`,
  many: (count) => `many ${String(count)}`,
  unreached: (organisations) => `unreached ${organisations}`,
};
const anna = person('Anna', 'hamburg.example');
const olaf = person('Olaf', 'hamburg.example');

describe('Orders about others', () => {
  let request: jasmine.Spy;
  let said: jasmine.Spy;

  beforeEach(() => {
    request = spyOn(TestBed.inject(Session), 'request').and.resolveTo({ unreached: [] } as never);
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    TestBed.inject(ConferenceStore).load(snapshotOf({ participants: [anna, olaf] }));
  });

  const plain = (text: string): string => text.replace(/[\u2068\u2069]/g, '');
  const spoken = (): string[] => said.calls.allArgs().map(([text]) => plain(String(text)));
  const shown = (): string[] =>
    TestBed.inject(Told)
      .sentences()
      .map(({ kind, text }) => `${kind}: ${plain(text)}`);
  const give = (people = [anna, olaf]): Promise<boolean> =>
    TestBed.inject(Orders).give('moderation.mute', people, texts);

  it('are given in requests of the size that the server takes, and said to be done', async () => {
    const many = Array.from({ length: 501 }, (_, count) => person(`P${String(count)}`, 'hamburg.example'));
    expect(await give(many)).toBeTrue();
    const asked = request.calls.allArgs().map(([, params]) => (params as { participantIds: string[] }).participantIds);
    expect(asked.map(({ length }) => length)).toEqual([500, 1]);
    await give([anna]);
    expect(spoken()).toEqual(['many 501', 'one Anna']);
  });

  it('say which organisations could not be told, and what that means, instead', async () => {
    request.and.resolveTo({ unreached: ['hamburg.example'] });
    await give();
    expect(shown()).toEqual(['hint: unreached Hamburg']);
    expect(said).not.toHaveBeenCalled();
  });

  it('say of whom they were not done', async () => {
    request.and.resolveTo({ unreached: [], refused: [olaf.participantId] });
    await give();
    expect(shown()).toEqual(['error: Not done to Olaf, who has as much power in this meeting as you, or has left.']);
    expect(spoken()).toEqual(['one Anna']);
    request.and.resolveTo({ unreached: [], refused: [anna.participantId, olaf.participantId] });
    expect(await give()).toBeFalse();
    expect(shown()[1]).toContain('Not done to 2 people');
    expect(said).toHaveBeenCalledTimes(1);
  });

  it('that failed are said to have failed, and nothing else is', async () => {
    request.and.rejectWith(new SessionError('forbidden', 'no'));
    expect(await give()).toBeFalse();
    expect(shown()).toEqual(['error: You do not have the right to do this. Ask the person who leads the meeting.']);
    expect(said).not.toHaveBeenCalled();
  });

  it('count what was done before the line broke', async () => {
    const many = Array.from({ length: 501 }, (_, count) => person(`P${String(count)}`, 'hamburg.example'));
    request.and.returnValues(
      Promise.resolve({ unreached: [] }),
      Promise.reject(new SessionError('connection-lost', 'gone')),
    );
    await give(many);
    expect(spoken()).toEqual(['many 500']);
    expect(shown()[0]).toContain('the connection to your organisation’s server is interrupted');
  });
});
