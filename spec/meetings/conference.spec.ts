/** One conference, without rooms and homeservers around it: who is told what, and what ends with whom. */
import { pino } from 'pino';
import { Conference, type ConferenceDeps } from '../../homeserver/meetings/conference/conference.ts';
import { Link } from '../../homeserver/meetings/conference/link.ts';
import type { LinkPeers } from '../../homeserver/meetings/conference/link-ports.ts';
import { type LocalParticipant, sourceKey } from '../../homeserver/meetings/conference/local-participant.ts';
import type { RemoteState } from '../../homeserver/meetings/conference/remotes.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { type FakeSession, membership, person, seated } from '../support/fakes/people.ts';
import { FAKE_CAPABILITIES } from '../support/fakes/sfu-media.ts';
import { FakeSfu } from '../support/fakes/sfu.ts';

const ROOM = '!room:luebeck.example';
const ANNA = '@anna:luebeck.example';
const JENS = '@jens:luebeck.example';
const OTTO = '@otto:hamburg.example';
const OLGA = '@olga:hamburg.example';
const HAMBURG = 'hamburg.example';
const idOf = (userId: string): string => `${userId}|DESK`;

const says = (changes: Partial<RemoteState> = {}): RemoteState => ({
  sources: [],
  reconnecting: false,
  signals: {},
  ...changes,
});
const camera = { source: 'camera', id: 'c1', paused: false } as const;

describe('A conference', () => {
  let clock: FakeClock;
  let sfu: FakeSfu;
  let conference: Conference;
  let announced: { servers: string[]; people: string[] }[];
  let introduced: string[];
  let left: string[];
  let anna: LocalParticipant;
  let jens: LocalParticipant;
  let annas: FakeSession;
  let jenses: FakeSession;

  beforeEach(() => {
    clock = new FakeClock();
    sfu = new FakeSfu({ clock });
    announced = [];
    introduced = [];
    left = [];
    conference = new Conference(ROOM, {
      serverName: 'luebeck.example',
      sfu,
      clock,
      log: pino({ level: 'silent' }),
      // Hamburg is never heard from.
      peers: new Proxy({}, { get: () => () => new Promise(() => undefined) }) as LinkPeers,
      reachability: { failed: () => undefined, heard: () => undefined },
      announce: (_conference: Conference, servers: Iterable<string>, people: Iterable<LocalParticipant>) =>
        announced.push({ servers: [...servers], people: [...people].map(({ userId }) => userId) }),
      introduce: (_conference: Conference, server: string) => introduced.push(server),
      silenced: () => undefined,
      modules: {
        shown: (_conference: Conference, { said }: { said: { signals: object } }) => said.signals,
        left: (_conference: Conference, participantId: string) => left.push(participantId),
        peopleChanged: () => undefined,
      },
    } as unknown as ConferenceDeps);
    ({ local: anna, session: annas } = seated(ANNA));
    ({ local: jens, session: jenses } = seated(JENS));
  });
  afterEach(() => conference.closeLinks());

  const enter = (local: LocalParticipant, name: string): void => {
    conference.seatTaken(local);
    conference.addLocal(local, person(name));
  };
  const both = (): void => {
    enter(anna, 'Anna');
    enter(jens, 'Jens');
    annas.take();
    jenses.take();
  };
  const shown = (): string[] => conference.participants().map(({ userId }) => userId);

  describe('of our own people', () => {
    it('shows who has come in to the others, not to themselves', () => {
      enter(anna, 'Anna');
      enter(jens, 'Jens');
      expect(annas.heard('participant.joined').map(({ displayName }) => displayName)).toEqual(['Jens']);
      expect(jenses.names).toEqual([]);
      expect(shown()).toEqual([ANNA, JENS]);
    });

    it('shows nobody who is on the way in, but knows of the seat', () => {
      conference.seatTaken(anna);
      expect(shown()).toEqual([]);
      expect(conference.seat(idOf(ANNA))).toBe(anna);
      expect(conference.seats()).toEqual([anna]);
    });

    it('tells of who comes back as of a change, and not of somebody new', () => {
      both();
      conference.addLocal(anna, person('Anna Albers'));
      expect(jenses.take()).toEqual([
        { name: 'participant.changed', data: jasmine.objectContaining({ displayName: 'Anna Albers' }) },
      ]);
    });

    it('tells everybody left when and why somebody leaves, once, and nothing to who left', () => {
      both();
      conference.removeLocal(jens, 'lost');
      conference.removeLocal(jens, 'left');
      expect(annas.take()).toEqual([{ name: 'participant.left', data: { participantId: idOf(JENS), reason: 'lost' } }]);
      expect(jenses.names).toEqual([]);
      expect([left, shown()]).toEqual([[idOf(JENS)], [ANNA]]);
    });

    it('tells nobody of who leaves on the way in', () => {
      enter(anna, 'Anna');
      conference.seatTaken(jens);
      conference.removeLocal(jens, 'left');
      expect(annas.names).toEqual([]);
      expect(conference.seat(idOf(JENS))).toBeUndefined();
    });

    it('does not take the seat of somebody who came after for that of the one who leaves', () => {
      both();
      const { local: again } = seated(JENS);
      conference.seatTaken(again);
      conference.addLocal(again, person('Jens'));
      conference.removeLocal(jens, 'left');
      expect(conference.seat(idOf(JENS))).toBe(again);
      expect(shown()).toEqual([ANNA, JENS]);
    });

    it('tells of a new name or role, and of nothing else', () => {
      both();
      conference.setPerson(idOf(JENS), person('Jens'));
      conference.setPerson('@nobody:luebeck.example|DESK', person('Nobody'));
      expect(annas.names).toEqual([]);
      conference.setPerson(idOf(JENS), person('Jens', { role: 'moderator' }));
      expect(annas.heard('participant.changed').map(({ role }) => role)).toEqual(['moderator']);
      expect(jenses.heard('participant.changed').length).withContext('also who it is about').toBe(1);
    });

    it('tells of sources here and to the other organisations, and not of what ends that never was', () => {
      both();
      conference.addRemote(membership(OTTO), person('Otto'));
      announced.length = 0;
      conference.addSource(anna, 'camera', 'producer-1', false);
      expect(jenses.heard('participant.changed').at(-1)?.sources).toEqual([{ source: 'camera', paused: false }]);
      expect(announced).toEqual([{ servers: [HAMBURG], people: [ANNA] }]);
      expect(conference.localSource(sourceKey(idOf(ANNA), 'camera'))).toEqual(
        jasmine.objectContaining({ producerId: 'producer-1', paused: false, kind: 'video' }),
      );
      conference.removeSource(anna, 'camera');
      conference.removeSource(anna, 'camera');
      expect(announced.length).toBe(2);
      expect(conference.localSource(sourceKey(idOf(ANNA), 'camera'))).toBeUndefined();
    });

    it('tells of signals when they are news, and leaves out those that are taken back', () => {
      both();
      expect(conference.setSignals(anna, { hand: { raisedAt: 5 } })).toBeTrue();
      expect(conference.setSignals(anna, { hand: { raisedAt: 5 } })).toBeFalse();
      expect(jenses.heard('participant.changed').map(({ signals }) => signals)).toEqual([{ hand: { raisedAt: 5 } }]);
      expect(conference.setSignals(anna, { hand: undefined })).toBeTrue();
      expect(anna.signals).toEqual({});
    });
  });

  describe('of people of other organisations', () => {
    beforeEach(both);

    it('introduces an organisation with its first participant, before it shows that one', () => {
      const order: string[] = [];
      spyOn(introduced, 'push').and.callFake((server) => order.push(`introduce ${server}`));
      spyOn(annas, 'tell').and.callFake(({ text }) => order.push(text.includes('joined') ? 'joined' : 'other'));
      conference.addRemote(membership(OTTO), person('Otto'));
      conference.addRemote(membership(OLGA), person('Olga'));
      expect(order.filter((each) => each !== 'other')).toEqual([`introduce ${HAMBURG}`, 'joined', 'joined']);
    });

    it('tells nothing when a membership is only renewed', () => {
      conference.addRemote(membership(OTTO), person('Otto'));
      annas.take();
      conference.addRemote(membership(OTTO, { expiresAt: 9e9 }), person('Otto'));
      expect(annas.names).toEqual([]);
      conference.addRemote(membership(OTTO), person('Otto Ohm'));
      expect(annas.heard('participant.changed').map(({ displayName }) => displayName)).toEqual(['Otto Ohm']);
    });

    it('shows what was said of somebody before the membership came', () => {
      expect(conference.setRemoteState(idOf(OTTO), says({ sources: [camera] }))).toBeFalse();
      conference.addRemote(membership(OTTO), person('Otto'));
      expect(conference.participants().at(-1)?.sources).toEqual([{ source: 'camera', paused: false }]);
    });

    it('tells of a state once, however often it is said', () => {
      conference.addRemote(membership(OTTO), person('Otto'));
      annas.take();
      expect(conference.setRemoteState(idOf(OTTO), says({ reconnecting: true }))).toBeTrue();
      expect(conference.setRemoteState(idOf(OTTO), says({ reconnecting: true }))).toBeFalse();
      expect(annas.heard('participant.changed').map(({ presence }) => presence)).toEqual(['reconnecting']);
    });

    it('takes a source that was ordered to be paused as paused, and tells so once', () => {
      conference.addRemote(membership(OTTO), person('Otto'));
      conference.setRemoteState(idOf(OTTO), says({ sources: [camera] }));
      annas.take();
      conference.silence(idOf(OTTO), 'camera');
      conference.silence(idOf(OTTO), 'camera');
      expect(annas.heard('participant.changed').map(({ sources }) => sources)).toEqual([
        [{ source: 'camera', paused: true }],
      ]);
      expect(conference.remoteSource(sourceKey(idOf(OTTO), 'camera'))).toEqual({ ...camera, paused: true });
      expect(conference.remoteSource(sourceKey(idOf(OLGA), 'camera'))).toBeUndefined();
    });

    it('says of a source since when it is sent, which is another time after each pause', () => {
      both();
      const since = (): number | undefined => anna.sources.get('microphone')?.resumedAt;
      const times: (number | undefined)[] = [];
      conference.addSource(anna, 'microphone', 'producer-1', false);
      const source = anna.media.sources.get('microphone');
      if (!source) throw new Error('There is no source.');
      times.push(since());
      conference.setPaused(anna, source, false);
      expect(since()).withContext('it was not paused').toBe(times[0]);
      conference.setPaused(anna, source, true);
      conference.setPaused(anna, source, false);
      times.push(since());
      conference.removeSource(anna, 'microphone');
      conference.addSource(anna, 'microphone', 'producer-1', false);
      times.push(since());
      expect(new Set(times).size).withContext('at the same moment').toBe(3);
      expect(times).not.toContain(undefined);
    });

    it('has one link to an organisation, from its first participant to its last', () => {
      conference.addRemote(membership(OTTO), person('Otto'));
      const link = conference.links.get(HAMBURG);
      conference.addRemote(membership(OLGA), person('Olga'));
      expect(conference.links.get(HAMBURG)).toBe(link);
      conference.removeRemote(idOf(OTTO), 'left');
      expect(conference.links.get(HAMBURG)).toBe(link);
      conference.removeRemote(idOf(OLGA), 'left');
      expect(conference.links.size).toBe(0);
    });

    it('tells an organisation with its link all that our people do', () => {
      conference.addRemote(membership(OTTO), person('Otto'));
      expect(announced).toEqual([{ servers: [HAMBURG], people: [ANNA, JENS] }]);
    });

    it('makes no link to an organisation that nobody here is of, or while nobody of ours is there', () => {
      expect(conference.link('bremen.example')).toBeUndefined();
      conference.removeLocal(anna, 'left');
      conference.removeLocal(jens, 'left');
      conference.addRemote(membership(OTTO), person('Otto'));
      expect(conference.link(HAMBURG)).toBeUndefined();
      conference.ensureLinks();
      expect(conference.links.size).toBe(0);
    });

    it('tells of who leaves once, and that of somebody unknown not at all', () => {
      conference.addRemote(membership(OTTO), person('Otto'));
      annas.take();
      conference.removeRemote(idOf(OTTO), 'lost');
      conference.removeRemote(idOf(OTTO), 'left');
      conference.removeRemote(idOf(OLGA), 'left');
      expect(annas.heard('participant.left')).toEqual([{ participantId: idOf(OTTO), reason: 'lost' }]);
      expect(left).toEqual([idOf(OTTO)]);
    });

    it('lets everybody of a server go at once that is shut out, and nobody of another', () => {
      for (const userId of [OTTO, OLGA, '@ben:bremen.example']) {
        conference.addRemote(membership(userId), person(userId));
      }
      annas.take();
      conference.shutOut(HAMBURG);
      expect(annas.heard('participant.left').map(({ participantId, reason }) => [participantId, reason])).toEqual([
        [idOf(OTTO), 'removed'],
        [idOf(OLGA), 'removed'],
      ]);
      expect([...conference.links.keys()]).toEqual(['bremen.example']);
    });

    describe('that is lost', () => {
      beforeEach(() => {
        conference.addRemote(membership(OTTO), person('Otto'));
        annas.take();
        conference.setLost(HAMBURG, true);
      });

      it('takes its people out of sight, and back into it with the state of the link', () => {
        expect(annas.take()).toEqual([
          { name: 'participant.left', data: { participantId: idOf(OTTO), reason: 'lost' } },
        ]);
        expect(shown()).toEqual([ANNA, JENS]);
        expect(conference.links.has(HAMBURG)).withContext('which goes on trying').toBeTrue();
        conference.setLost(HAMBURG, false);
        expect(annas.names).toEqual(['participant.joined', 'link.changed']);
        expect(shown()).toEqual([ANNA, JENS, OTTO]);
      });

      it('tells nothing of them meanwhile: neither who comes, nor who changes, nor who leaves', () => {
        annas.take();
        conference.addRemote(membership(OLGA), person('Olga'));
        conference.setRemoteState(idOf(OTTO), says({ sources: [camera] }));
        conference.setPerson(idOf(OTTO), person('Otto Ohm'));
        conference.removeRemote(idOf(OLGA), 'left');
        expect(annas.names.filter((name) => name.startsWith('participant.'))).toEqual([]);
        conference.setLost(HAMBURG, false);
        expect(annas.heard('participant.joined').map(({ displayName, sources }) => [displayName, sources])).toEqual([
          ['Otto Ohm', [{ source: 'camera', paused: false }]],
        ]);
      });
    });
  });

  describe('brings what somebody wants', () => {
    beforeEach(both);
    const watch = (participantId: string) => [{ participantId, source: 'camera' as const }];

    it('and never what somebody sends to themselves', () => {
      conference.reception.watch(anna, FAKE_CAPABILITIES, [...watch(idOf(ANNA)), ...watch(idOf(JENS))]);
      expect([...anna.wants.keys()]).toEqual([sourceKey(idOf(JENS), 'camera')]);
    });

    it('the last wish for one source counts', () => {
      conference.reception.watch(anna, FAKE_CAPABILITIES, [
        { participantId: idOf(JENS), source: 'camera', height: 180 },
        { participantId: idOf(JENS), source: 'camera', height: 720 },
      ]);
      expect([...anna.wants.values()].map(({ height }) => height)).toEqual([720]);
    });

    it('over the link to the organisation of the source: each wish is told once, and its end', () => {
      conference.addRemote(membership(OTTO), person('Otto'));
      const link = conference.links.get(HAMBURG);
      if (!link) throw new Error('There is no link.');
      const want = spyOn(link, 'want');
      const unwant = spyOn(link, 'unwant');
      const key = sourceKey(idOf(OTTO), 'camera');
      conference.reception.watch(anna, FAKE_CAPABILITIES, watch(idOf(OTTO)));
      conference.reception.watch(anna, FAKE_CAPABILITIES, watch(idOf(OTTO)));
      conference.reception.watch(jens, FAKE_CAPABILITIES, watch(idOf(OTTO)));
      expect(want.calls.allArgs()).toEqual([[key], [key]]);
      conference.removeLocal(jens, 'left');
      conference.reception.watch(anna, FAKE_CAPABILITIES, []);
      expect(unwant.calls.allArgs()).toEqual([[key], [key]]);
    });

    it('also where the wishes come before the links: each link is told of those that are for it', () => {
      const ben = '@ben:bremen.example';
      const wanted = new Map<string, string[]>();
      spyOn(Link.prototype, 'want').and.callFake(function (this: Link, key) {
        wanted.set(this.server, [...(wanted.get(this.server) ?? []), key]);
      });
      conference.reception.watch(anna, FAKE_CAPABILITIES, [
        ...watch(idOf(OTTO)),
        ...watch(idOf(ben)),
        ...watch(idOf(JENS)),
      ]);
      conference.addRemote(membership(OTTO), person('Otto'));
      conference.addRemote(membership(ben), person('Ben'));
      expect([...wanted]).toEqual([
        [HAMBURG, [sourceKey(idOf(OTTO), 'camera')]],
        ['bremen.example', [sourceKey(idOf(ben), 'camera')]],
      ]);
    });

    it('and tells the link that a wish has ended when who had it leaves', () => {
      conference.reception.watch(anna, FAKE_CAPABILITIES, watch(idOf(OTTO)));
      conference.addRemote(membership(OTTO), person('Otto'));
      const link = conference.links.get(HAMBURG);
      if (!link) throw new Error('There is no link.');
      const unwant = spyOn(link, 'unwant');
      conference.removeLocal(anna, 'left');
      expect(unwant.calls.allArgs()).toEqual([[sourceKey(idOf(OTTO), 'camera')]]);
    });

    it('from a source that a link has, as soon as it has it, and to nobody who does not want it', async () => {
      const received = spyOn(sfu, 'request').and.callThrough();
      anna.media.receive = 'transport-1';
      jens.media.receive = 'transport-2';
      conference.reception.watch(anna, FAKE_CAPABILITIES, watch(idOf(OTTO)));
      conference.reception.watch(jens, FAKE_CAPABILITIES, []);
      await conference.setReceived(sourceKey(idOf(OTTO), 'camera'), 'producer-link');
      await clock.settle();
      const created = received.calls.allArgs().filter(([method]) => method === 'consumer.create');
      expect(created.map(([, params]) => params)).toEqual([
        jasmine.objectContaining({ transportId: 'transport-1', producerId: 'producer-link' }),
      ]);
    });
  });

  it('has everybody open media anew when it is lost, also who is on the way in, and tells that nothing is sent', () => {
    enter(anna, 'Anna');
    conference.seatTaken(jens);
    conference.addSource(anna, 'camera', 'producer-1', false);
    anna.media.send = 'transport-1';
    annas.take();
    announced.length = 0;
    conference.mediaLost('worker-died');
    expect(annas.heard('media.restart')).toEqual([{ reason: 'worker-died' }]);
    expect(jenses.heard('media.restart')).toEqual([{ reason: 'worker-died' }]);
    expect(annas.names[0]).withContext('before it is told of sources').toBe('media.restart');
    expect(annas.heard('participant.changed').map(({ sources }) => sources)).toEqual([[]]);
    expect(announced.map(({ people }) => people)).toEqual([[ANNA]]);
    expect([anna.sources.size, anna.media.transports]).toEqual([0, []]);
  });
});
