/** The media of one seat on a fake SFU: what each request of its client does, and what is refused. */
import { pino } from 'pino';
import { Conference, type ConferenceDeps } from '../../homeserver/meetings/conference/conference.ts';
import { type LocalParticipant, sourceKey } from '../../homeserver/meetings/conference/local-participant.ts';
import { type Seat, SeatMedia } from '../../homeserver/meetings/conference/seat-media.ts';
import { SeatError } from '../../homeserver/meetings/conference/seat-turns.ts';
import type { Source } from '../../protocol/media.ts';
import type { MediaOpened } from '../../protocol/session.ts';
import { SfuError } from '../../sfu/errors.ts';
import { CAMERA, MICROPHONE } from '../sfu/support.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { type FakeSession, person, seated } from '../support/fakes/people.ts';
import { FAKE_CAPABILITIES } from '../support/fakes/sfu-media.ts';
import { FakeSfu } from '../support/fakes/sfu.ts';

const ROOM = '!room:luebeck.example';
const OTTO = '@otto:hamburg.example|DESK';

describe('The media of a seat', () => {
  let clock: FakeClock;
  let sfu: FakeSfu;
  let media: SeatMedia;
  let conference: Conference;
  let seat: Seat;
  let anna: LocalParticipant;
  let session: FakeSession;
  let isSeated: boolean;

  beforeEach(() => {
    clock = new FakeClock();
    sfu = new FakeSfu({ clock });
    media = new SeatMedia(sfu);
    conference = new Conference(ROOM, {
      serverName: 'luebeck.example',
      sfu,
      clock,
      log: pino({ level: 'silent' }),
      announce: () => undefined,
      introduce: () => undefined,
      modules: { shown: () => ({}), left: () => undefined, peopleChanged: () => undefined },
    } as unknown as ConferenceDeps);
    ({ local: anna, session } = seated('@anna:luebeck.example'));
    conference.seatTaken(anna);
    conference.addLocal(anna, person('Anna'));
    seat = { conference, local: anna };
    isSeated = true;
  });

  const still = (): void => {
    if (!isSeated) throw new SeatError('not-in-conference', 'You were taken out.');
  };
  const happens = <T>(work: Promise<T>, ms = 1_000): Promise<T> => clock.during(work, ms);
  const refused = async (work: Promise<unknown>, what: object): Promise<void> => {
    const check = expectAsync(work).toBeRejectedWith(jasmine.objectContaining(what));
    await clock.advance(1_000);
    await check;
  };
  const open = (): Promise<MediaOpened> => happens(media.open(seat, still));
  let ssrc = 0;
  const offer = (source: Source, transportId = anna.media.send ?? '', paused = false) => {
    const base = source === 'microphone' ? MICROPHONE : CAMERA;
    const encodings = base.encodings?.map((encoding) => ({ ...encoding, ssrc: (ssrc += 1) }));
    return { transportId, source, rtpParameters: { ...base, encodings }, paused };
  };
  const publish = (source: Source, paused = false): Promise<string> =>
    happens(media.publish(seat, offer(source, undefined, paused), still));
  const onSfu = () => ({
    transports: sfu.labels(ROOM).length,
    producers: [...(sfu.conferences.get(ROOM)?.producers.keys() ?? [])],
  });
  const methods = (): string[] => sfu.requests.map(({ method }) => method);

  describe('is opened', () => {
    it('with a transport in each direction, which are known to be of this seat', async () => {
      const opened = await open();
      expect(onSfu().transports).toBe(2);
      expect([anna.media.send, anna.media.receive]).toEqual([opened.send.id, opened.receive.id]);
      expect(media.seatOfTransport(opened.send.id)).toBe(seat);
      expect(media.seatOfTransport(opened.receive.id)).toBe(seat);
      expect(opened.rtpCapabilities.codecs?.length).toBeGreaterThan(0);
    });

    it('anew: all that there was ends before, and the others are told', async () => {
      const first = await open();
      await publish('microphone');
      const second = await open();
      expect(onSfu()).toEqual({ transports: 2, producers: [] });
      expect(anna.sources.size).toBe(0);
      expect(session.heard('participant.changed').at(-1)?.sources).toEqual([]);
      expect(media.seatOfTransport(first.send.id)).toBeUndefined();
      expect(media.seatOfTransport(second.send.id)).toBe(seat);
    });

    it('in an order on the line that ends nothing of the new', async () => {
      await open();
      expect(methods().slice(0, 2)).toEqual(['participant.close', 'conference.open']);
      expect(methods().slice(2)).toEqual(['transport.create', 'transport.create']);
    });

    it('not for a seat that is gone meanwhile, at whichever wait', async () => {
      sfu.workerDelay = () => 100;
      for (const atMs of [50, 150]) {
        isSeated = true;
        const opening = media.open(seat, still);
        const refusal = expectAsync(opening).toBeRejectedWith(jasmine.objectContaining({ code: 'not-in-conference' }));
        await clock.advance(atMs);
        isSeated = false;
        await clock.advance(1_000);
        await refusal;
        expect(anna.media.transports)
          .withContext(`after ${String(atMs)} ms`)
          .toEqual([]);
        sfu.conferences.get(ROOM)?.end('closed');
        sfu.conferences.delete(ROOM);
      }
    });

    it('not with transports that the media server has lost while they were made', async () => {
      sfu.workerDelay = () => 100;
      const opening = media.open(seat, still);
      const refusal = expectAsync(opening).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
      await clock.advance(150);
      conference.mediaLost('worker-died');
      await clock.advance(1_000);
      await refusal;
      expect(anna.media.transports).toEqual([]);
    });

    it('not where the media server refuses: nothing of it is kept here', async () => {
      sfu.refuse('transport.create', 'exhausted');
      await refused(media.open(seat, still), { code: 'exhausted' });
      expect(anna.media.transports).toEqual([]);
      await open();
      expect(onSfu().transports).withContext('the one that was made before is closed').toBe(2);
    });
  });

  describe('is the client’s own: it may name no transport but these', () => {
    const foreign = async (transportId: string): Promise<void> => {
      await refused(media.connect(seat, { transportId, dtlsParameters: { role: 'client', fingerprints: [] } }), {
        code: 'not-found',
      });
      await refused(media.restartIce(seat, { transportId }), { code: 'not-found' });
      await refused(media.publish(seat, offer('camera', transportId), still), { code: 'not-found' });
      expect(() => media.watch(seat, { transportId, rtpCapabilities: {}, watch: [] })).toThrowMatching(
        (error: unknown) => error instanceof SfuError && error.code === 'not-found',
      );
    };

    it('not those of somebody else', async () => {
      await open();
      const other = await happens(
        sfu.request('transport.create', { conferenceId: ROOM, participantId: 'jens', direction: 'send' }),
      );
      const before = sfu.requests.length;
      await foreign(other.id);
      expect(sfu.requests.length).withContext('the media server is not even asked').toBe(before);
    });

    it('not those that it had before, and none when it has none', async () => {
      await foreign('');
      const { send } = await open();
      await open();
      await foreign(send.id);
    });

    it('not the one to receive for a source, and not the one to send for what it wants', async () => {
      const { send, receive } = await open();
      await refused(media.publish(seat, offer('camera', receive.id), still), { code: 'not-found' });
      expect(() => media.watch(seat, { transportId: send.id, rtpCapabilities: {}, watch: [] })).toThrowError();
    });
  });

  describe('has sources', () => {
    beforeEach(async () => {
      await open();
    });

    it('that everybody is told of, paused or not', async () => {
      const producerId = await publish('camera', true);
      expect(anna.sources.get('camera')).toEqual(jasmine.objectContaining({ producerId, paused: true }));
      expect(session.heard('participant.changed').at(-1)?.sources).toEqual([{ source: 'camera', paused: true }]);
    });

    it('with codecs of their kind only, before the media server is asked', async () => {
      const before = sfu.requests.length;
      const wrong = { ...offer('camera'), source: 'microphone' as const };
      await refused(media.publish(seat, wrong, still), { code: 'bad-request' });
      expect(sfu.requests.length).toBe(before);
    });

    it('one of each: another one takes its place', async () => {
      const first = await publish('camera');
      const second = await publish('camera');
      expect(onSfu().producers).toEqual([second]);
      expect(first).not.toBe(second);
      expect(anna.sources.get('camera')?.producerId).toBe(second);
    });

    it('that are replaced also when the old one is gone on the media server', async () => {
      const first = await publish('camera');
      sfu.conference(ROOM).closeProducer(first);
      const second = await publish('camera');
      expect(onSfu().producers).toEqual([second]);
    });

    it('none when the media server refuses, also where one was replaced', async () => {
      await publish('camera');
      sfu.refuse('producer.create', 'unsupported');
      await refused(media.publish(seat, offer('camera'), still), { code: 'unsupported' });
      expect(anna.sources.size).toBe(0);
      expect(session.heard('participant.changed').at(-1)?.sources).toEqual([]);
    });

    it('none after the media was lost while they were made, and the client is told', async () => {
      sfu.workerDelay = () => 100;
      const publishing = media.publish(seat, offer('camera'), still);
      const refusal = expectAsync(publishing).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
      await clock.advance(50);
      conference.mediaLost('sfu-lost');
      await clock.advance(1_000);
      await refusal;
      expect(anna.sources.size).toBe(0);
    });

    it('none of a seat that is gone while they are made', async () => {
      sfu.workerDelay = () => 100;
      const refusal = expectAsync(media.publish(seat, offer('camera'), still)).toBeRejectedWith(
        jasmine.objectContaining({ code: 'not-in-conference' }),
      );
      await clock.advance(50);
      isSeated = false;
      await clock.advance(1_000);
      await refusal;
      expect(anna.sources.size).toBe(0);
    });

    it('that end for everybody at once, before the media server has answered', async () => {
      const producerId = await publish('camera');
      sfu.line.hold();
      const ending = media.unpublish(seat, 'camera');
      expect(anna.sources.size).toBe(0);
      expect(session.heard('participant.changed').at(-1)?.sources).toEqual([]);
      sfu.line.release();
      await happens(ending);
      expect(onSfu().producers).not.toContain(producerId);
    });

    it('that end without a word when there are none', async () => {
      await happens(media.unpublish(seat, 'screen'));
      expect(methods()).not.toContain('producer.close');
    });

    it('that are paused once the media server has paused them, and that is told', async () => {
      await publish('microphone');
      session.take();
      sfu.workerDelay = () => 100;
      const pausing = media.setPaused(seat, 'microphone', true, still);
      await clock.advance(50);
      expect(anna.sources.get('microphone')?.paused).toBeFalse();
      await happens(pausing);
      expect(anna.sources.get('microphone')?.paused).toBeTrue();
      expect(session.heard('participant.changed').map(({ sources }) => sources)).toEqual([
        [{ source: 'microphone', paused: true }],
      ]);
      await happens(media.setPaused(seat, 'microphone', false, still));
      expect(sfu.conference(ROOM).producers.values().next().value?.paused).toBeFalse();
    });

    it('that stay as they are when they can not be paused', async () => {
      await publish('microphone');
      sfu.refuse('producer.pause', 'internal');
      await refused(media.setPaused(seat, 'microphone', true, still), { code: 'internal' });
      expect(anna.sources.get('microphone')?.paused).toBeFalse();
      await refused(media.setPaused(seat, 'camera', true, still), { code: 'not-found' });
    });

    it('whose pause is not taken for that of the one that took their place', async () => {
      await publish('microphone');
      sfu.workerDelay = () => 100;
      const pausing = media.setPaused(seat, 'microphone', true, still);
      await clock.advance(50);
      conference.removeSource(anna, 'microphone');
      conference.addSource(anna, 'microphone', 'producer-new', false);
      session.take();
      await happens(pausing);
      expect(session.names).toEqual([]);
      expect(anna.sources.get('microphone')).toEqual(
        jasmine.objectContaining({ producerId: 'producer-new', paused: false }),
      );
    });
  });

  describe('is kept by a client that comes back', () => {
    const consumer = (consumerId: string) => ({
      consumerId,
      producerId: 'p',
      replaces: undefined,
      spatialLayer: undefined,
      priority: undefined,
    });

    it('with the consumers that both sides still have; what only one has ends', async () => {
      await open();
      anna.media.consumers.set('jens camera', consumer('both'));
      anna.media.consumers.set('jens microphone', consumer('here'));
      media.keepConsumers(seat, ['both', 'there']);
      await clock.advance(100);
      expect([...anna.consumers.values()].map(({ consumerId }) => consumerId)).toEqual(['both']);
      expect(session.heard('consumer.removed')).toEqual([{ consumerId: 'there' }]);
      expect(sfu.requests.filter(({ method }) => method === 'consumer.close').map(({ params }) => params)).toEqual([
        { consumerId: 'here' },
      ]);
    });
  });

  describe('is kept by a client that comes back while another producer of what it sees takes over', () => {
    const camera = sourceKey(OTTO, 'camera');
    let send: string;
    let first: string;
    let second: string;
    const consumersOnSfu = () => [...sfu.conference(ROOM).consumers.values()];
    const idsOnSfu = (): string[] => consumersOnSfu().map(({ consumerId }) => consumerId);
    const removed = (): string[] => session.heard('consumer.removed').map(({ consumerId }) => consumerId);
    /** What is seen of Otto comes from another producer from now on. @returns the consumer of it */
    const show = async (): Promise<string> => {
      const { transportId: _other, ...offered } = offer('camera');
      const created = sfu.request('producer.create', { ...offered, transportId: send });
      conference.setReceived(camera, (await happens(created, 100)).producerId).catch(fail);
      await clock.advance(100);
      return anna.consumers.get(camera)?.consumerId ?? '';
    };
    const comesBack = async (has: readonly string[]): Promise<void> => {
      media.keepConsumers(seat, has);
      await clock.advance(5_000);
    };

    beforeEach(async () => {
      const { receive } = await open();
      const transport = { conferenceId: ROOM, participantId: OTTO, direction: 'send' as const };
      send = (await happens(sfu.request('transport.create', transport))).id;
      const watch = [{ participantId: OTTO, source: 'camera' as const }];
      media.watch(seat, { transportId: receive.id, rtpCapabilities: FAKE_CAPABILITIES, watch });
      first = await show();
      await happens(media.ready(seat, [first]));
      second = await show();
      session.take();
      expect(idsOnSfu()).toEqual([first, second]);
    });

    it('with both: what the old one brings goes on until the new one is there', async () => {
      sfu.workerDelay = () => 500;
      media.keepConsumers(seat, [first, second]);
      await clock.advance(100);
      expect([idsOnSfu(), removed()]).toEqual([[first, second], []]);
      await clock.advance(5_000);
      expect([idsOnSfu(), removed()]).toEqual([[second], [first]]);
      expect(consumersOnSfu().map(({ paused }) => paused))
        .withContext('nobody has to say again that it is ready')
        .toEqual([false]);
    });

    it('with the old one: it goes on until the client has another new one', async () => {
      await comesBack([first]);
      const third = anna.consumers.get(camera)?.consumerId ?? '';
      expect(idsOnSfu()).toEqual([first, third]);
      expect([second, first]).not.toContain(third);
      expect(session.names).toEqual(['consumer.added']);
      await happens(media.ready(seat, [third]));
      expect([idsOnSfu(), removed()]).toEqual([[third], [first]]);
    });

    it('with the new one: it flows, and nothing of the old one is left', async () => {
      await comesBack([second]);
      expect(idsOnSfu()).toEqual([second]);
      expect(consumersOnSfu().map(({ paused }) => paused)).toEqual([false]);
    });

    it('with neither: nothing of both is left, and it gets another one', async () => {
      await comesBack([]);
      const third = anna.consumers.get(camera)?.consumerId ?? '';
      expect(idsOnSfu()).toEqual([third]);
      expect(anna.consumers.get(camera)?.replaces).toBeUndefined();
      expect(session.names).toEqual(['consumer.added']);
    });
  });

  describe('ends', () => {
    it('with all its transports, and no report of the media server finds the seat any more', async () => {
      const { send, receive } = await open();
      await happens(media.close(seat));
      expect(onSfu().transports).toBe(0);
      expect([send.id, receive.id].map((id) => media.seatOfTransport(id))).toEqual([undefined, undefined]);
    });

    it('also where the media server can not be reached', async () => {
      const { send } = await open();
      sfu.breakLine();
      await expectAsync(media.close(seat)).toBeResolved();
      expect(media.seatOfTransport(send.id)).toBeUndefined();
    });

    it('for the seats of one conference when the media server has lost it, and for no others', async () => {
      const { send } = await open();
      const other = {
        conference: { roomId: '!other' } as unknown as Conference,
        local: seated('@jens:luebeck.example').local,
      };
      media.restore(other, ['transport-other']);
      media.lost(conference);
      expect(media.seatOfTransport(send.id)).toBeUndefined();
      expect(media.seatOfTransport('transport-other')).toBe(other);
    });
  });
});
