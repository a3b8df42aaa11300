/** What is kept of the participants of other organisations, whoever tells it first. */
import type { RemoteSource } from '../../homeserver/meetings/conference/messages.ts';
import { Remotes, type RemoteState, takenFrom } from '../../homeserver/meetings/conference/remotes.ts';
import type { Signals } from '../../protocol/modules/list.ts';
import { membership, person } from '../support/fakes/people.ts';

const OTTO = '@otto:hamburg.example';
const OLGA = '@olga:hamburg.example';
const BEN = '@ben:bremen.example';
const idOf = (userId: string): string => `${userId}|DESK`;

const microphone = (id = 'm1', paused = false): RemoteSource => ({ source: 'microphone', id, paused });
const says = (sources: readonly RemoteSource[] = [], changes: Partial<RemoteState> = {}): RemoteState => ({
  sources,
  reconnecting: false,
  signals: {},
  ...changes,
});

describe('The participants of other organisations', () => {
  let believed: boolean;
  let remotes: Remotes;
  /** What is kept of that which is not taken. */
  let kept: [string, Record<string, number>][];

  beforeEach(() => {
    believed = true;
    kept = [];
    remotes = new Remotes({
      shown: ({ said }): Signals => (believed ? said.signals : {}),
      silenced: (participantId, sources) => void kept.push([participantId, Object.fromEntries(sources)]),
    });
  });

  describe('by their memberships', () => {
    it('are new once, the same when a membership is renewed, and changed when what is shown is', () => {
      expect(remotes.put(membership(OTTO), person('Otto')).change).toBe('new');
      expect(remotes.put(membership(OTTO, { expiresAt: 9_000_000 }), person('Otto')).change).toBe('same');
      expect(remotes.put(membership(OTTO), person('Otto Ohm')).change).toBe('changed');
      expect(remotes.put(membership(OTTO), person('Otto Ohm', { role: 'moderator' })).change).toBe('changed');
      expect(remotes.put(membership(OTTO), person('Otto Ohm', { role: 'moderator', guest: true })).change).toBe(
        'changed',
      );
      expect(
        remotes.put(membership(OTTO, { joinedAt: 1 }), person('Otto Ohm', { role: 'moderator', guest: true })).change,
      ).toBe('changed');
    });

    it('end at the time of the last renewal, not of the first membership', () => {
      remotes.put(membership(OTTO, { expiresAt: 5_000 }), person('Otto'));
      remotes.put(membership(OLGA, { expiresAt: 5_000 }), person('Olga'));
      remotes.put(membership(OTTO, { expiresAt: 10_000 }), person('Otto'));
      expect(remotes.expired(4_999)).toEqual([]);
      expect(remotes.expired(5_000)).toEqual([idOf(OLGA)]);
      expect(remotes.expired(10_000)).toEqual([idOf(OTTO), idOf(OLGA)]);
    });

    it('keep what they send when a membership is renewed', () => {
      remotes.put(membership(OTTO), person('Otto'));
      remotes.setState(idOf(OTTO), says([microphone()]));
      const { remote } = remotes.put(membership(OTTO, { joinedAt: 9 }), person('Otto'));
      expect([...remote.sources.keys()]).toEqual(['microphone']);
      expect(remote.sourcesKnown).toBeTrue();
    });

    it('are found by server, and are gone when they are deleted', () => {
      for (const userId of [OTTO, OLGA, BEN]) remotes.put(membership(userId), person(userId));
      expect(remotes.of('hamburg.example').map(({ membership: { userId } }) => userId)).toEqual([OTTO, OLGA]);
      expect([...remotes.servers()]).toEqual(['hamburg.example', 'bremen.example']);
      expect(remotes.delete(idOf(BEN), true)?.membership.userId).toBe(BEN);
      expect(remotes.delete(idOf(BEN), true)).toBeUndefined();
      expect([...remotes.servers()]).toEqual(['hamburg.example']);
    });
  });

  describe('by what their instances say', () => {
    beforeEach(() => {
      remotes.put(membership(OTTO), person('Otto'));
    });

    it('are news also when the first thing said is that nothing is sent', () => {
      expect(remotes.get(idOf(OTTO))?.sourcesKnown).toBeFalse();
      expect(remotes.setState(idOf(OTTO), says())?.sourcesKnown).toBeTrue();
      expect(remotes.setState(idOf(OTTO), says()))
        .withContext('said again')
        .toBeUndefined();
    });

    it('are news with another id, pause, number of sources, presence or signal, and with nothing else', () => {
      remotes.setState(idOf(OTTO), says([microphone()]));
      expect(remotes.setState(idOf(OTTO), says([microphone()]))).toBeUndefined();
      const news = [
        says([microphone('m2')]),
        says([microphone('m2', true)]),
        says([microphone('m2', true), { source: 'camera', id: 'c1', paused: false }]),
        says([microphone('m2', true)]),
        says([microphone('m2', true)], { reconnecting: true }),
        says([microphone('m2', true)], { reconnecting: true, signals: { hand: { raisedAt: 5 } } }),
      ];
      for (const state of news) {
        expect(remotes.setState(idOf(OTTO), state))
          .withContext(JSON.stringify(state))
          .toBeDefined();
        expect(remotes.setState(idOf(OTTO), state))
          .withContext(`${JSON.stringify(state)} again`)
          .toBeUndefined();
      }
    });

    it('have no source any more that is not named', () => {
      remotes.setState(idOf(OTTO), says([microphone(), { source: 'camera', id: 'c1', paused: false }]));
      remotes.setState(idOf(OTTO), says([{ source: 'camera', id: 'c1', paused: false }]));
      expect([...(remotes.get(idOf(OTTO))?.sources.keys() ?? [])]).toEqual(['camera']);
    });

    it('show signals as they are read, and otherwise when they are read in another way', () => {
      remotes.setState(idOf(OTTO), says([], { signals: { hand: { raisedAt: 5 } } }));
      expect(remotes.get(idOf(OTTO))?.signals).toEqual({ hand: { raisedAt: 5 } });
      expect(remotes.readAgain()).withContext('nothing has changed').toEqual([]);
      believed = false;
      expect(remotes.readAgain().map(({ membership: { userId } }) => userId)).toEqual([OTTO]);
      expect(remotes.get(idOf(OTTO))?.signals).toEqual({});
      believed = true;
      expect(remotes.readAgain().length).withContext('what was said is kept').toBe(1);
      expect(remotes.get(idOf(OTTO))?.signals).toEqual({ hand: { raisedAt: 5 } });
    });
  });

  describe('of whom something is said before their membership comes', () => {
    it('have it kept, the last that was said, and given out once', () => {
      expect(remotes.setState(idOf(OTTO), says([microphone('m1')]))).toBeUndefined();
      expect(remotes.setState(idOf(OTTO), says([microphone('m2')]))).toBeUndefined();
      expect(remotes.takeEarly(idOf(OTTO))?.sources).toEqual([microphone('m2')]);
      expect(remotes.takeEarly(idOf(OTTO))).toBeUndefined();
    });

    it('are nobody yet: they are neither shown nor counted', () => {
      remotes.setState(idOf(OTTO), says([microphone()]));
      expect([...remotes.shown()]).toEqual([]);
      expect(remotes.servers().size).toBe(0);
    });

    it('are a hundred of each server; beyond, those said longest ago are forgotten', () => {
      const early = (n: number): string => `@p${String(n)}:hamburg.example|DESK`;
      remotes.setState(idOf(BEN), says([microphone('ben')]));
      for (let n = 0; n < 100; n += 1) remotes.setState(early(n), says([microphone(String(n))]));
      // Said again, the first of them is the newest.
      remotes.setState(early(0), says([microphone('again')]));
      remotes.setState(early(100), says());
      expect(remotes.takeEarly(early(1))).toBeUndefined();
      expect(remotes.takeEarly(early(0))?.sources).toEqual([microphone('again')]);
      expect(remotes.takeEarly(early(2))).toBeDefined();
      expect(remotes.takeEarly(idOf(BEN)))
        .withContext('another server')
        .toBeDefined();
    });
  });

  describe('whose source was ordered to be paused', () => {
    beforeEach(() => {
      remotes.put(membership(OTTO), person('Otto'));
      remotes.setState(idOf(OTTO), says([microphone('m1')]));
    });
    const taken = (): boolean[] => {
      const remote = remotes.get(idOf(OTTO));
      return remote ? takenFrom(remote).map(({ paused }) => paused) : [];
    };

    it('have it taken as paused, whatever their instance goes on saying', () => {
      expect(remotes.silence(idOf(OTTO), 'microphone')).toBeDefined();
      expect(taken()).toEqual([true]);
      remotes.setState(idOf(OTTO), says([microphone('m1')], { reconnecting: true }));
      expect(taken()).toEqual([true]);
      remotes.setState(idOf(OTTO), says([microphone('another')]));
      expect(taken()).withContext('published anew to get around it').toEqual([true]);
    });

    it('are believed again once their instance has said that it is paused', () => {
      remotes.silence(idOf(OTTO), 'microphone');
      remotes.setState(idOf(OTTO), says([microphone('m1', true)]));
      remotes.setState(idOf(OTTO), says([microphone('m1', false)]));
      expect(taken()).toEqual([false]);
    });

    it('are believed again also when they have ended the source and begin another one', () => {
      remotes.silence(idOf(OTTO), 'microphone');
      remotes.setState(idOf(OTTO), says([]));
      remotes.setState(idOf(OTTO), says([microphone('m2', false)]));
      expect(taken()).toEqual([false]);
    });

    const since = (resumedAt: number, paused = false): RemoteState =>
      says([{ ...microphone('m1', paused), resumedAt }]);

    it('are believed again by the time since when it is sent, when its pause was not heard', () => {
      remotes.setState(idOf(OTTO), since(1_000));
      remotes.silence(idOf(OTTO), 'microphone');
      remotes.setState(idOf(OTTO), { ...since(1_000), reconnecting: true });
      expect(taken()).withContext('since the same time as before').toEqual([true]);
      expect(remotes.setState(idOf(OTTO), { ...since(2_000), reconnecting: true })).toBeDefined();
      expect(taken()).toEqual([false]);
    });

    it('are not believed by the loss of that time, which a restart of their instance is', () => {
      remotes.setState(idOf(OTTO), since(1_000));
      remotes.silence(idOf(OTTO), 'microphone');
      remotes.setState(idOf(OTTO), says([microphone('m1')]));
      expect(taken()).toEqual([true]);
      remotes.setState(idOf(OTTO), since(2_000));
      expect(taken()).withContext('it was paused since').toEqual([false]);
    });

    it('are kept with that time as long as it lasts, and not without it', () => {
      remotes.silence(idOf(OTTO), 'microphone');
      expect(kept).toEqual([[idOf(OTTO), {}]]);
      remotes.setState(idOf(OTTO), since(1_000, true));
      remotes.setState(idOf(OTTO), since(2_000));
      kept.length = 0;
      remotes.silence(idOf(OTTO), 'microphone');
      expect(kept).toEqual([[idOf(OTTO), { microphone: 2_000 }]]);
      remotes.setState(idOf(OTTO), { ...since(2_000), reconnecting: true });
      expect(kept.length).withContext('nothing new').toBe(1);
      remotes.setState(idOf(OTTO), since(2_000, true));
      expect(kept.at(-1)).toEqual([idOf(OTTO), {}]);
    });

    it('outlive a loss of their organisation, of which it says nothing when it is back', () => {
      remotes.setState(idOf(OTTO), since(1_000));
      remotes.silence(idOf(OTTO), 'microphone');
      const before = kept.length;
      remotes.delete(idOf(OTTO), false);
      expect(kept.length).withContext('what is kept stays').toBe(before);
      remotes.put(membership(OTTO), person('Otto'));
      remotes.setState(idOf(OTTO), since(1_000));
      expect(taken()).toEqual([true]);
      remotes.setState(idOf(OTTO), since(2_000));
      expect(taken()).toEqual([false]);
    });

    it('are those of before also for whom the room told of while they were read', () => {
      remotes.setState(idOf(OTTO), since(1_000));
      const known = remotes.silencedBefore([
        { participantId: idOf(OTTO), sources: new Map([['microphone', 1_000]]) },
        { participantId: idOf(BEN), sources: new Map([['microphone', 1_000]]) },
      ]);
      expect(known.map(({ membership: { userId } }) => userId)).toEqual([OTTO]);
      expect(taken()).toEqual([true]);
      remotes.setState(idOf(OTTO), since(2_000));
      remotes.silencedBefore([{ participantId: idOf(OTTO), sources: new Map([['microphone', 1_000]]) }]);
      expect(taken()).withContext('resumed since').toEqual([false]);
    });

    it('are forgotten when they have left', () => {
      remotes.setState(idOf(OTTO), since(1_000));
      remotes.silence(idOf(OTTO), 'microphone');
      remotes.delete(idOf(OTTO), true);
      expect(kept.at(-1)).toEqual([idOf(OTTO), {}]);
      remotes.put(membership(OTTO), person('Otto'));
      remotes.setState(idOf(OTTO), since(1_000));
      expect(taken()).toEqual([false]);
    });

    it('before anything was heard of them have the first that is said not believed', () => {
      const { remote } = remotes.put(membership(OLGA), person('Olga'));
      const olga = (): boolean[] => takenFrom(remote).map(({ paused }) => paused);
      expect(remotes.silence(idOf(OLGA), 'microphone')).toBeDefined();
      remotes.setState(idOf(OLGA), since(1_000));
      expect(olga()).toEqual([true]);
      expect(kept.at(-1)).toEqual([idOf(OLGA), { microphone: 1_000 }]);
      remotes.setState(idOf(OLGA), since(2_000));
      expect(olga()).toEqual([false]);
    });

    it('when it was ordered before a restart are not believed until they show a pause since then', () => {
      remotes.silencedBefore([{ participantId: idOf(OLGA), sources: new Map([['microphone', 1_000]]) }]);
      const { remote: olga } = remotes.put(membership(OLGA), person('Olga'));
      remotes.setState(idOf(OLGA), since(1_000));
      expect(takenFrom(olga).map(({ paused }) => paused)).toEqual([true]);
      remotes.setState(idOf(OLGA), since(2_000));
      expect(takenFrom(olga).map(({ paused }) => paused)).toEqual([false]);
      expect(kept.at(-1)).toEqual([idOf(OLGA), {}]);
    });

    it('are named once, and not for a source that is paused, absent, or of nobody', () => {
      expect(remotes.silence(idOf(OTTO), 'camera')).toBeUndefined();
      expect(remotes.silence(idOf(BEN), 'microphone')).toBeUndefined();
      expect(remotes.silence(idOf(OTTO), 'microphone')).toBeDefined();
      expect(remotes.silence(idOf(OTTO), 'microphone')).toBeUndefined();
      remotes.setState(idOf(OTTO), says([microphone('m1', true)]));
      expect(remotes.silence(idOf(OTTO), 'microphone')).toBeUndefined();
    });
  });

  describe('of an organisation that is lost', () => {
    it('are not shown until it is found again, and that is news once', () => {
      for (const userId of [OTTO, BEN]) remotes.put(membership(userId), person(userId));
      expect(remotes.setLost('hamburg.example', true).map(({ membership: { userId } }) => userId)).toEqual([OTTO]);
      expect(remotes.setLost('hamburg.example', true)).toEqual([]);
      expect([...remotes.shown()].map(({ membership: { userId } }) => userId)).toEqual([BEN]);
      expect(remotes.isLost('hamburg.example')).toBeTrue();
      expect([...remotes.servers()])
        .withContext('links go on trying')
        .toContain('hamburg.example');
      expect(remotes.setLost('hamburg.example', false).length).toBe(1);
      expect([...remotes.shown()].length).toBe(2);
    });

    it('are not shown either when they come while it is lost', () => {
      remotes.setLost('hamburg.example', true);
      const { remote } = remotes.put(membership(OTTO), person('Otto'));
      expect(remotes.isShown(remote)).toBeFalse();
    });
  });
});
