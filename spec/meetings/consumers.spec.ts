/** What a participant receives, on a fake SFU: consumers are made and removed until they match what is wanted. */
import { pino } from 'pino';
import { Consumers } from '../../homeserver/meetings/conference/consumers.ts';
import {
  type LocalParticipant,
  type SourceKey,
  sourceKey,
} from '../../homeserver/meetings/conference/local-participant.ts';
import type { Source } from '../../protocol/media.ts';
import { CAMERA, MICROPHONE } from '../sfu/support.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { type FakeSession, seated } from '../support/fakes/people.ts';
import { FAKE_CAPABILITIES } from '../support/fakes/sfu-media.ts';
import { FakeSfu } from '../support/fakes/sfu.ts';

const ROOM = '!room:luebeck.example';
const JENS = '@jens:luebeck.example|DESK';

describe('The consumers of a participant', () => {
  let clock: FakeClock;
  let sfu: FakeSfu;
  let consumers: Consumers;
  let producers: Map<SourceKey, string>;
  let anna: LocalParticipant;
  let session: FakeSession;
  /** Where jens sends from. */
  let send: string;
  let ssrc: number;

  beforeEach(async () => {
    clock = new FakeClock();
    sfu = new FakeSfu({ clock });
    producers = new Map();
    ssrc = 0;
    consumers = new Consumers({ sfu, log: pino({ level: 'silent' }), producer: (key) => producers.get(key) });
    ({ local: anna, session } = seated('@anna:luebeck.example'));
    await happens(sfu.request('conference.open', { conferenceId: ROOM }));
    send = (await happens(transport(JENS, 'send'))).id;
    anna.media.receive = (await happens(transport(anna.participantId, 'receive'))).id;
    anna.media.rtpCapabilities = FAKE_CAPABILITIES;
  });

  const happens = <T>(work: Promise<T>): Promise<T> => clock.during(work, 10);
  const transport = (participantId: string, direction: 'send' | 'receive') =>
    sfu.request('transport.create', { conferenceId: ROOM, participantId, direction });
  const camera: SourceKey = sourceKey(JENS, 'camera');
  const microphone: SourceKey = sourceKey(JENS, 'microphone');

  /** Jens begins to send something, or sends it anew. */
  const publish = async (source: Source): Promise<string> => {
    const base = source === 'microphone' ? MICROPHONE : CAMERA;
    const encodings = base.encodings?.map((encoding) => ({ ...encoding, ssrc: (ssrc += 1) }));
    const { producerId } = await happens(
      sfu.request('producer.create', {
        transportId: send,
        source,
        rtpParameters: { ...base, encodings },
        paused: false,
      }),
    );
    producers.set(sourceKey(JENS, source), producerId);
    return producerId;
  };
  const want = (source: Source, height?: number, priority?: number): void => {
    anna.wants.set(sourceKey(JENS, source), {
      participantId: JENS,
      source,
      ...(height === undefined ? {} : { height }),
      ...(priority === undefined ? {} : { priority }),
    });
  };
  const reconcile = async (): Promise<void> => {
    consumers.reconcile(anna);
    await clock.advance(1_000);
  };
  const ready = (): Promise<void> =>
    happens(
      consumers.ready(
        anna,
        [...anna.consumers.values()].map(({ consumerId }) => consumerId),
      ),
    );
  const onSfu = () => [...sfu.conference(ROOM).consumers.values()];
  const asked = (method: string): unknown[] =>
    sfu.requests.filter((each) => each.method === method).map(({ params }) => params);

  describe('are made', () => {
    it('of what is wanted and exists, and the client is told all that it needs for its side', async () => {
      const producerId = await publish('camera');
      want('camera', 180, 3);
      await reconcile();
      const [consumer] = onSfu();
      expect(consumer).toEqual(
        jasmine.objectContaining({
          producerId,
          transportId: anna.media.receive,
          layers: { spatialLayer: 0 },
          priority: 3,
        }),
      );
      expect(session.heard('consumer.added')).toEqual([
        jasmine.objectContaining({
          consumerId: consumer?.consumerId,
          kind: 'video',
          producerPaused: false,
          participantId: JENS,
          source: 'camera',
          producerId,
        }),
      ]);
    });

    it('paused, until the client has made its side', async () => {
      await publish('microphone');
      want('microphone');
      await reconcile();
      expect(onSfu().map(({ paused }) => paused)).toEqual([true]);
      await ready();
      expect(onSfu().map(({ paused }) => paused)).toEqual([false]);
    });

    it('and let flow once, however often the client says that it is ready', async () => {
      await publish('camera');
      want('camera');
      await reconcile();
      await happens(Promise.all(Array.from({ length: 20 }, ready)));
      await ready();
      expect(asked('consumer.resume').length).toBe(1);
      await publish('camera');
      await reconcile();
      await happens(Promise.all(Array.from({ length: 20 }, ready)));
      expect(asked('consumer.replace').length).toBe(1);
    });

    it('not of what does not exist yet, and once it does', async () => {
      want('camera');
      await reconcile();
      expect(onSfu()).toEqual([]);
      await publish('camera');
      await reconcile();
      expect(onSfu().length).toBe(1);
    });

    it('not before the client has said what it can receive, or has where to', async () => {
      await publish('camera');
      want('camera');
      anna.media.rtpCapabilities = undefined;
      await reconcile();
      anna.media.rtpCapabilities = FAKE_CAPABILITIES;
      anna.media.receive = undefined;
      await reconcile();
      expect(asked('consumer.create')).toEqual([]);
    });

    it('once, however often that is asked for while one is being made', async () => {
      await publish('camera');
      want('camera');
      sfu.workerDelay = () => 50;
      for (let n = 0; n < 20; n += 1) consumers.reconcile(anna);
      await clock.advance(1_000);
      expect(onSfu().length).toBe(1);
      expect(session.names).toEqual(['consumer.added']);
    });

    it('of what others send also when one of them can not be made', async () => {
      await publish('camera');
      await publish('microphone');
      want('camera');
      want('microphone');
      sfu.refuse('consumer.create', 'unsupported');
      await reconcile();
      expect(onSfu().length).toBe(1);
      await reconcile();
      expect(onSfu().length).withContext('it is tried again with the next change').toBe(2);
    });

    it('for nobody who has left meanwhile, or has other media', async () => {
      await publish('camera');
      want('camera');
      sfu.workerDelay = () => 50;
      consumers.reconcile(anna);
      await clock.advance(10);
      anna.forgetMedia();
      await clock.advance(1_000);
      expect([anna.consumers.size, session.names]).toEqual([0, []]);
      anna.leave();
      consumers.reconcile(anna);
      await clock.advance(1_000);
      expect(asked('consumer.create').length).toBe(1);
    });
  });

  describe('follow', () => {
    beforeEach(async () => {
      await publish('camera');
      want('camera', 180);
      await reconcile();
      await ready();
      session.take();
    });

    it('the size of a tile: another layer is asked for, and no other consumer', async () => {
      want('camera', 720, 9);
      await reconcile();
      expect(onSfu()).toEqual([jasmine.objectContaining({ layers: { spatialLayer: 2 }, priority: 9 })]);
      expect(session.names).toEqual([]);
    });

    it('nothing where the new size needs the same layer', async () => {
      want('camera', 200);
      await reconcile();
      expect(asked('consumer.prefer')).toEqual([]);
    });

    it('what is not wanted any more: the client is told before the media server', async () => {
      anna.wants.clear();
      await reconcile();
      expect(session.names).toEqual(['consumer.removed']);
      expect(onSfu()).toEqual([]);
      expect(anna.consumers.size).toBe(0);
    });

    it('what is not sent any more', async () => {
      producers.delete(camera);
      await reconcile();
      expect(session.names).toEqual(['consumer.removed']);
      expect(anna.consumers.size).toBe(0);
    });

    it('what is wanted again: it is another consumer then', async () => {
      const [before] = onSfu();
      anna.wants.clear();
      await reconcile();
      want('camera', 180);
      await reconcile();
      expect(onSfu().length).toBe(1);
      expect(onSfu()[0]?.consumerId).not.toBe(before?.consumerId);
      expect(session.names).toEqual(['consumer.removed', 'consumer.added']);
    });
  });

  describe('change over to another producer', () => {
    let first: string;
    beforeEach(async () => {
      await publish('camera');
      want('camera');
      await reconcile();
      await ready();
      first = anna.consumers.get(camera)?.consumerId ?? '';
      session.take();
    });
    const isOver = async (promise: Promise<void>): Promise<boolean> =>
      Promise.race([promise.then(() => true), Promise.resolve(false).then((value) => value)]);

    it('before the old one ends: the picture goes on until the new one is there', async () => {
      await publish('camera');
      await reconcile();
      expect(session.names).toEqual(['consumer.added']);
      expect(onSfu().map(({ consumerId }) => consumerId)).toContain(first);
      const second = anna.consumers.get(camera);
      expect(second?.replaces).toBe(first);
      sfu.workerDelay = () => 500;
      await ready();
      expect(onSfu().length).withContext('until the first picture').toBe(2);
      await clock.advance(1_000);
      expect(onSfu().map(({ consumerId }) => consumerId)).toEqual([second?.consumerId ?? '']);
      expect(session.names).toEqual(['consumer.added', 'consumer.removed']);
      expect(session.heard('consumer.removed')).toEqual([{ consumerId: first }]);
    });

    it('and whoever waits for that learns when everybody has', async () => {
      await publish('camera');
      const over = consumers.changedOver(anna, camera);
      consumers.reconcile(anna);
      await clock.advance(100);
      expect(await isOver(over)).toBeFalse();
      await ready();
      await clock.advance(100);
      expect(await isOver(over)).toBeTrue();
    });

    it('which waits for nobody who does not receive the source, leaves or wants it no more', async () => {
      expect(await isOver(consumers.changedOver(anna, microphone)))
        .withContext('not received')
        .toBeTrue();
      await publish('camera');
      const over = consumers.changedOver(anna, camera);
      consumers.reconcile(anna);
      await clock.advance(100);
      anna.wants.clear();
      await reconcile();
      expect(await isOver(over))
        .withContext('no more wanted')
        .toBeTrue();
      expect(onSfu()).withContext('both ended').toEqual([]);
    });

    it('twice while the first change is under way: the one in between is not left behind', async () => {
      await publish('camera');
      await reconcile();
      const between = anna.consumers.get(camera)?.consumerId;
      await publish('camera');
      await reconcile();
      expect(anna.consumers.get(camera)?.replaces).toBe(first);
      expect(onSfu().map(({ consumerId }) => consumerId)).not.toContain(between ?? '');
      await ready();
      await clock.advance(100);
      expect(onSfu().map(({ consumerId }) => consumerId)).toEqual([anna.consumers.get(camera)?.consumerId ?? '']);
      const removed = session.heard('consumer.removed').map(({ consumerId }) => consumerId);
      expect(removed).toEqual([between ?? '', first]);
    });

    it('also where the media server can not replace: the client keeps no consumer that brings nothing', async () => {
      await publish('camera');
      await reconcile();
      sfu.refuse('consumer.replace', 'not-found');
      await ready();
      await clock.advance(100);
      expect(anna.consumers.get(camera)?.replaces).toBeUndefined();
      expect(session.heard('consumer.removed')).toEqual([{ consumerId: first }]);
      expect(onSfu().map(({ consumerId }) => consumerId))
        .withContext('nothing goes on unseen')
        .not.toContain(first);
    });

    it('once more while the client is just changing over: each end is told once, and one brings the picture', async () => {
      await publish('camera');
      await reconcile();
      const between = anna.consumers.get(camera)?.consumerId ?? '';
      let delay = 500;
      sfu.workerDelay = () => delay;
      await ready();
      delay = 0;
      await publish('camera');
      consumers.reconcile(anna);
      await clock.advance(100);
      const last = anna.consumers.get(camera)?.consumerId ?? '';
      await clock.advance(1_000);
      await ready();
      await clock.advance(100);
      const removed = session.heard('consumer.removed').map(({ consumerId }) => consumerId);
      expect(removed.sort()).toEqual([first, between].sort());
      expect(onSfu().map(({ consumerId, paused }) => [consumerId, paused])).toEqual([[last, false]]);
    });

    it('and do not tell the end of the old one again to who wants the source no more meanwhile', async () => {
      await publish('camera');
      await reconcile();
      sfu.workerDelay = () => 500;
      await ready();
      anna.wants.clear();
      await reconcile();
      const removed = session.heard('consumer.removed').map(({ consumerId }) => consumerId);
      expect(new Set(removed).size).toBe(2);
      expect(removed.length).toBe(2);
    });

    it('and the end of the old one by itself is told once', async () => {
      await publish('camera');
      await reconcile();
      consumers.closed(anna, first);
      expect(session.heard('consumer.removed')).toEqual([{ consumerId: first }]);
      await ready();
      await clock.advance(100);
      expect(session.heard('consumer.removed').length).toBe(1);
      expect(
        onSfu().find(({ consumerId }) => consumerId === anna.consumers.get(camera)?.consumerId)?.paused,
      ).toBeFalse();
    });

    it('and the end of the new one by itself ends the old one as well, and begins anew', async () => {
      await publish('camera');
      await reconcile();
      const second = anna.consumers.get(camera)?.consumerId ?? '';
      sfu.conference(ROOM).consumers.delete(second);
      consumers.closed(anna, second);
      await clock.advance(1_000);
      const removed = session.heard('consumer.removed').map(({ consumerId }) => consumerId);
      expect(removed.sort()).toEqual([first, second].sort());
      expect(onSfu().length).toBe(1);
      expect(anna.consumers.get(camera)?.replaces).toBeUndefined();
    });
  });

  describe('that are closed by the media server', () => {
    it('are told, and made again while the source is still there', async () => {
      await publish('camera');
      want('camera');
      await reconcile();
      const { consumerId } = onSfu()[0] ?? { consumerId: '' };
      sfu.conference(ROOM).consumers.delete(consumerId);
      consumers.closed(anna, consumerId);
      await clock.advance(1_000);
      expect(session.names).toEqual(['consumer.added', 'consumer.removed', 'consumer.added']);
      expect(onSfu().length).toBe(1);
    });

    it('are nobody else’s: one that is not known here is not told', () => {
      consumers.closed(anna, 'consumer-of-somebody');
      expect(session.names).toEqual([]);
    });
  });

  it('that are ready are only those of this participant', async () => {
    await publish('camera');
    want('camera');
    await reconcile();
    await happens(consumers.ready(anna, ['consumer-of-somebody', '']));
    expect(asked('consumer.resume')).toEqual([]);
    expect(onSfu().map(({ paused }) => paused)).toEqual([true]);
  });

  it('that can not be resumed do no harm to who asked', async () => {
    await publish('camera');
    want('camera');
    await reconcile();
    sfu.breakLine();
    await expectAsync(ready()).toBeResolved();
  });
});
