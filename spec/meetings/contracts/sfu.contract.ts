/** What a conference may rely on of its SFU: the real one and the fake one of the specs keep to it alike. */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { SfuPort } from '../../../homeserver/meetings/conference/ports.ts';
import type { RtpCapabilities } from '../../../protocol/media.ts';
import type { SfuNotificationName, SfuResult } from '../../../sfu/protocol.ts';
import { CAMERA, eventually, MICROPHONE } from '../../sfu/support.ts';

export interface SfuUnderContract {
  readonly sfu: SfuPort;
  /** The SFU of another instance. */
  readonly peer: SfuPort;
  /** The worker that carries a conference dies. */
  loseWorker(conferenceId: string): void;
  /** The line breaks, and is there again some time after. */
  breakLine(): void;
  mendLine(): Promise<void>;
  /** So many ms go by. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

const ROOM = '!contract:luebeck.example';
const ANNA = '@anna:luebeck.example|PHONE';
const BERT = '@bert:luebeck.example|DESK';
const NOBODY = '127.0.0.99';

/** @param open starts an SFU without conferences, and one of a peer that proves its address to it */
export function describeSfu(what: string, open: () => Promise<SfuUnderContract>, timeoutMs?: number): void {
  describe(`The contract of SFUs, kept by ${what}:`, () => {
    let under: SfuUnderContract;
    let sfu: SfuPort;
    let told: { name: string; data: unknown }[];

    beforeEach(async () => {
      under = await open();
      ({ sfu } = under);
      told = [];
      for (const name of ['conference.lost', 'producer.closed', 'consumer.closed', 'link.state'] as const) record(name);
    }, timeoutMs);
    afterEach(() => under.close());

    function record(name: SfuNotificationName): void {
      // What the one of the spec before tells while it ends is not told here.
      const here = told;
      sfu.on(name, (data) => here.push({ name, data }));
    }

    const refused = async (promise: Promise<unknown>, code: string): Promise<void> =>
      expectAsync(promise).withContext(code).toBeRejectedWith(jasmine.objectContaining({ code }));
    /** Waits until something was told that has these facts. */
    const hears = (name: string, facts: object): Promise<void> =>
      eventually(
        () =>
          told.some((each) => each.name === name && isDeepStrictEqual({ ...Object(each.data), ...facts }, each.data)),
        name,
      );
    const heard = (name: string): unknown[] => told.filter((each) => each.name === name);

    const openRoom = (): Promise<SfuResult<'conference.open'>> =>
      sfu.request('conference.open', { conferenceId: ROOM });
    const transport = (participantId: string, direction: 'send' | 'receive') =>
      sfu.request('transport.create', { conferenceId: ROOM, participantId, direction });

    /** What there is, as a homeserver finds it after a break. */
    async function snapshot() {
      under.breakLine();
      await under.mendLine();
      return sfu.hello?.snapshot.conferences ?? [];
    }

    /** Anna sends her microphone, and Bert hears it. */
    async function twoPeople() {
      const { rtpCapabilities } = await openRoom();
      const { id: sending } = await transport(ANNA, 'send');
      const { id: receiving } = await transport(BERT, 'receive');
      const { producerId } = await sfu.request('producer.create', {
        transportId: sending,
        source: 'microphone',
        rtpParameters: MICROPHONE,
        paused: false,
      });
      const { consumerId } = await sfu.request('consumer.create', {
        transportId: receiving,
        producerId,
        rtpCapabilities,
      });
      return { rtpCapabilities, sending, receiving, producerId, consumerId };
    }

    describe('the line', () => {
      it('greets who it is and what there is', async () => {
        const states: boolean[] = [];
        sfu.onState(({ connected }) => states.push(connected));
        expect(states).toEqual([true]);
        expect(sfu.hello?.instanceId).toMatch(/./);
        expect(sfu.hello?.snapshot).toEqual({ conferences: [] });
      });

      it('fails what is under way when it breaks, and everything until it is there again', async () => {
        const states: boolean[] = [];
        sfu.onState(({ connected }) => states.push(connected));
        const { instanceId } = sfu.hello ?? {};
        const underWay = refused(openRoom(), 'worker-lost');
        under.breakLine();
        await underWay;
        expect(sfu.hello).toBeUndefined();
        await refused(sfu.request('stats', {}), 'worker-lost');
        await under.mendLine();
        expect(states).toEqual([true, false, true]);
        expect(sfu.hello?.instanceId).toBe(instanceId);
        await openRoom();
      });

      it('finds everything again after a break', async () => {
        const { sending, receiving, producerId, consumerId } = await twoPeople();
        expect(await snapshot()).toEqual([
          {
            conferenceId: ROOM,
            transports: [
              { transportId: sending, participantId: ANNA, direction: 'send' },
              { transportId: receiving, participantId: BERT, direction: 'receive' },
            ],
            producers: [
              {
                producerId,
                participantId: ANNA,
                source: 'microphone',
                kind: 'audio',
                paused: false,
                transportId: sending,
              },
            ],
            consumers: [{ consumerId, producerId, transportId: receiving, paused: true }],
            links: [],
          },
        ]);
      });

      it('does not take a request that is too long', async () => {
        await refused(transport('x'.repeat(1_000_000), 'send'), 'bad-request');
      });

      it('tells others what a handler failed at', async () => {
        sfu.on('producer.closed', () => {
          throw new Error('a handler of the spec');
        });
        const later: unknown[] = [];
        sfu.on('producer.closed', (data) => later.push(data));
        const { sending } = await twoPeople();
        await sfu.request('transport.close', { transportId: sending });
        await eventually(() => later.length === 1);
      });
    });

    describe('a conference', () => {
      it('is opened once, however often it is asked for, and closed again and again', async () => {
        const [first, second] = await Promise.all([openRoom(), openRoom()]);
        expect(first.rtpCapabilities).toEqual(second.rtpCapabilities);
        await openRoom();
        expect((await snapshot()).length).toBe(1);
        await sfu.request('conference.close', { conferenceId: ROOM });
        await sfu.request('conference.close', { conferenceId: ROOM });
        expect(await snapshot()).toEqual([]);
      });

      it('that is opened right after its end is another one', async () => {
        await twoPeople();
        const closing = sfu.request('conference.close', { conferenceId: ROOM });
        await Promise.all([closing, openRoom()]);
        expect((await snapshot()).map(({ transports }) => transports)).toEqual([[]]);
      });

      it('that was closed while it was opened is not there', async () => {
        const opening = Promise.allSettled([openRoom()]);
        await sfu.request('conference.close', { conferenceId: ROOM });
        await opening;
        expect(await snapshot()).toEqual([]);
      });

      it('ends with all that is in it, and tells nothing of that', async () => {
        const { sending, producerId, consumerId } = await twoPeople();
        await sfu.request('conference.close', { conferenceId: ROOM });
        await refused(sfu.request('transport.close', { transportId: sending }), 'not-found');
        await refused(sfu.request('producer.pause', { producerId }), 'not-found');
        await refused(sfu.request('consumer.resume', { consumerId }), 'not-found');
        await openRoom();
        expect(told).toEqual([]);
      });

      it('is lost with its worker, which is told, and can be opened anew', async () => {
        const { sending } = await twoPeople();
        under.loseWorker(ROOM);
        await hears('conference.lost', { conferenceIds: [ROOM] });
        await openRoom();
        await refused(sfu.request('transport.close', { transportId: sending }), 'not-found');
        expect(heard('producer.closed').concat(heard('consumer.closed'))).toEqual([]);
      });
    });

    describe('transports', () => {
      it('are made in conferences only', async () => {
        await refused(transport(ANNA, 'send'), 'not-found');
      });

      it('end with their participant, those on their way included', async () => {
        await openRoom();
        await transport(ANNA, 'send');
        // It may have been made before the end of the participant arrived.
        const opening = Promise.allSettled([transport(ANNA, 'receive')]);
        const other = transport(BERT, 'send');
        await sfu.request('participant.close', { conferenceId: ROOM, participantId: ANNA });
        await opening;
        await other;
        expect((await snapshot()).flatMap(({ transports }) => transports.map((each) => each.participantId))).toEqual([
          BERT,
        ]);
        await sfu.request('participant.close', { conferenceId: '!none:luebeck.example', participantId: ANNA });
      });

      it('end once', async () => {
        await openRoom();
        const { id: transportId } = await transport(ANNA, 'send');
        await sfu.request('transport.close', { transportId });
        await refused(sfu.request('transport.close', { transportId }), 'not-found');
      });

      it('take along what was sent over them, which is told, and what that was received by', async () => {
        const { sending, receiving, producerId, consumerId } = await twoPeople();
        await sfu.request('transport.close', { transportId: sending });
        await hears('producer.closed', { conferenceId: ROOM, producerId });
        await hears('consumer.closed', { consumerId, transportId: receiving });
        expect((await snapshot()).map(({ producers, consumers }) => [producers, consumers])).toEqual([[[], []]]);
      });

      it('take along what was received over them, which is not told', async () => {
        const { receiving } = await twoPeople();
        await sfu.request('transport.close', { transportId: receiving });
        expect((await snapshot()).map(({ consumers }) => consumers)).toEqual([[]]);
        expect(told).toEqual([]);
      });
    });

    describe('producers', () => {
      it('need a transport to send, codecs of their kind, and an SSRC of their own', async () => {
        const { sending, receiving } = await twoPeople();
        const produce = (transportId: string, source: 'camera' | 'screen-audio', rtpParameters: typeof CAMERA) =>
          sfu.request('producer.create', { transportId, source, rtpParameters, paused: false });
        await refused(produce(receiving, 'camera', CAMERA), 'bad-request');
        await refused(produce(sending, 'camera', MICROPHONE), 'bad-request');
        await refused(produce(sending, 'screen-audio', MICROPHONE), 'conflict');
        await refused(produce('none', 'camera', CAMERA), 'not-found');
        await produce(sending, 'camera', CAMERA);
      });

      it('are paused and go on', async () => {
        const { producerId } = await twoPeople();
        await sfu.request('producer.pause', { producerId });
        expect((await snapshot())[0]?.producers[0]?.paused).toBeTrue();
        await sfu.request('producer.resume', { producerId });
        expect((await snapshot())[0]?.producers[0]?.paused).toBeFalse();
      });

      it('that are closed by name are not told of, but the consumers of them are', async () => {
        const { producerId, consumerId, receiving } = await twoPeople();
        await sfu.request('producer.close', { producerId });
        await hears('consumer.closed', { consumerId, transportId: receiving });
        expect(heard('producer.closed')).toEqual([]);
        await refused(sfu.request('producer.close', { producerId }), 'not-found');
      });
    });

    describe('consumers', () => {
      it('need a transport to receive, a producer in the conference, and a codec that the client knows', async () => {
        const { rtpCapabilities, sending, receiving, producerId } = await twoPeople();
        const video = { ...rtpCapabilities, codecs: rtpCapabilities.codecs?.filter(({ kind }) => kind === 'video') };
        const consume = (transportId: string, of: string, capabilities: RtpCapabilities) =>
          sfu.request('consumer.create', { transportId, producerId: of, rtpCapabilities: capabilities });
        await refused(consume(sending, producerId, rtpCapabilities), 'bad-request');
        await refused(consume(receiving, 'none', rtpCapabilities), 'not-found');
        await refused(consume(receiving, producerId, video), 'unsupported');
        const made = await consume(receiving, producerId, rtpCapabilities);
        expect(made.kind).toBe('audio');
        expect(made.producerPaused).toBeFalse();
      });

      it('begin paused, go on when asked to, and end once', async () => {
        const { consumerId } = await twoPeople();
        expect((await snapshot())[0]?.consumers[0]?.paused).toBeTrue();
        await sfu.request('consumer.resume', { consumerId });
        expect((await snapshot())[0]?.consumers[0]?.paused).toBeFalse();
        await sfu.request('consumer.prefer', { consumerId, layers: { spatialLayer: 1 }, priority: 3 });
        await sfu.request('consumer.close', { consumerId });
        await refused(sfu.request('consumer.close', { consumerId }), 'not-found');
        expect(heard('consumer.closed')).toEqual([]);
      });
    });

    describe('a consumer that replaces another', () => {
      it('goes on in its place, also where that one is gone already', async () => {
        const { rtpCapabilities, receiving, producerId, consumerId } = await twoPeople();
        const next = await sfu.request('consumer.create', { transportId: receiving, producerId, rtpCapabilities });
        const replace = { consumerId: next.consumerId, oldConsumerId: consumerId };
        await sfu.request('consumer.replace', replace);
        await sfu.request('consumer.replace', replace);
        await refused(sfu.request('consumer.resume', { consumerId }), 'not-found');
        expect((await snapshot())[0]?.consumers).toEqual([
          { consumerId: next.consumerId, producerId, transportId: receiving, paused: false },
        ]);
        await refused(sfu.request('consumer.replace', { ...replace, consumerId: 'none' }), 'not-found');
      });
    });

    describe('a link', () => {
      const create = (of: SfuPort, linkId: string) =>
        of.request('link.create', { conferenceId: ROOM, linkId, peer: 'other.example' });

      async function connected(linkId: string): Promise<void> {
        await under.peer.request('conference.open', { conferenceId: ROOM });
        const [own, theirs] = [await create(sfu, linkId), await create(under.peer, linkId)];
        const [we, they] = [sfu.hello?.link, under.peer.hello?.link];
        if (!we || !they) throw new Error('There is no line.');
        await Promise.all([
          sfu.request('link.connect', { linkId, address: they.address, probePort: they.probePort, ...theirs }),
          under.peer.request('link.connect', { linkId, address: we.address, probePort: we.probePort, ...own }),
        ]);
      }

      it('has an id of its own, in a conference', async () => {
        const linkId = randomUUID();
        await refused(create(sfu, linkId), 'not-found');
        await openRoom();
        const [one, other] = await Promise.allSettled([create(sfu, linkId), create(sfu, linkId)]);
        expect([one.status, other.status]).toEqual(['fulfilled', 'rejected']);
        await refused(create(sfu, linkId), 'conflict');
        const { link } = sfu.hello ?? {};
        const port = one.status === 'fulfilled' ? one.value.port : 0;
        expect(port >= (link?.minPort ?? 0) && port <= (link?.maxPort ?? 0)).toBeTrue();
      });

      it('is not there when it was closed while it was made', async () => {
        await openRoom();
        const linkId = randomUUID();
        // It may have been made before its end arrived.
        const making = Promise.allSettled([create(sfu, linkId)]);
        await sfu.request('link.close', { linkId });
        await making;
        expect((await snapshot()).map(({ links }) => links)).toEqual([[]]);
        await refused(sfu.request('link.close', { linkId }), 'not-found');
        await create(sfu, linkId);
      });

      it('is connected once, to an address that is proven, and tells how it is', async () => {
        await openRoom();
        const linkId = randomUUID();
        await connected(linkId);
        const state = { linkId, conferenceId: ROOM, peer: 'other.example' };
        await hears('link.state', { ...state, state: 'connecting' });
        await hears('link.state', { ...state, state: 'connected' });
        const again = { linkId, address: NOBODY, probePort: 4000, ...(await create(sfu, randomUUID())) };
        await refused(sfu.request('link.connect', again), 'conflict');
      });

      it('is not connected to who does not prove the address', async () => {
        await openRoom();
        const linkId = randomUUID();
        const half = await create(sfu, linkId);
        const connecting = refused(
          sfu.request('link.connect', { linkId, address: NOBODY, probePort: 4000, ...half }),
          'not-found',
        );
        await under.pass(6_000);
        await connecting;
        expect((await snapshot())[0]?.links).toEqual([
          { linkId, peer: 'other.example', connected: false, sending: [] },
        ]);
      }, 15_000);

      it('that is closed while it is connected does not wait for the proof', async () => {
        await openRoom();
        const linkId = randomUUID();
        const half = await create(sfu, linkId);
        const connecting = refused(
          sfu.request('link.connect', { linkId, address: NOBODY, probePort: 4000, ...half }),
          'not-found',
        );
        await sfu.request('link.close', { linkId });
        await under.pass(500);
        await connecting;
      });

      it('sends what our people send, once, and nothing that came over a link', async () => {
        const { producerId } = await twoPeople();
        const linkId = randomUUID();
        await connected(linkId);
        const send = () => sfu.request('link.send', { linkId, producerId });
        const [one, other] = await Promise.all([send(), send()]);
        expect(one).toEqual(other);
        expect(one.kind).toBe('audio');
        expect((await snapshot())[0]?.links[0]?.sending).toEqual([producerId]);
        const received = await sfu.request('link.receive', {
          linkId,
          participantId: '@otto:other.example|DESK',
          source: 'camera',
          remoteId: 'theirs',
          kind: 'video',
          rtpParameters: CAMERA,
          paused: true,
        });
        await refused(sfu.request('link.send', { linkId, producerId: received.producerId }), 'bad-request');
        await refused(sfu.request('link.send', { linkId, producerId: 'none' }), 'not-found');
        await sfu.request('link.unsend', { linkId, producerId });
        await sfu.request('link.unsend', { linkId, producerId });
        expect((await snapshot())[0]?.links[0]?.sending).toEqual([]);
      });

      it('forgets what has ended by itself', async () => {
        const { producerId, sending } = await twoPeople();
        const linkId = randomUUID();
        await connected(linkId);
        await sfu.request('link.send', { linkId, producerId });
        await sfu.request('transport.close', { transportId: sending });
        await hears('producer.closed', { conferenceId: ROOM, producerId });
        await eventually(async () => (await snapshot())[0]?.links[0]?.sending.length === 0);
      });

      it('takes along what came over it, which is told', async () => {
        await openRoom();
        const linkId = randomUUID();
        await connected(linkId);
        const receive = (source: 'camera' | 'microphone', remoteId: string) =>
          sfu.request('link.receive', {
            linkId,
            participantId: '@otto:other.example|DESK',
            source,
            remoteId,
            kind: source === 'camera' ? 'video' : 'audio',
            rtpParameters: CAMERA,
            paused: false,
          });
        await refused(receive('microphone', 'wrong'), 'bad-request');
        const { producerId } = await receive('camera', 'theirs');
        const [held] = (await snapshot())[0]?.producers ?? [];
        expect(held).toEqual(jasmine.objectContaining({ producerId, linkId, remoteId: 'theirs', kind: 'video' }));
        await sfu.request('link.close', { linkId });
        await hears('producer.closed', { conferenceId: ROOM, producerId });
        await refused(sfu.request('link.close', { linkId }), 'not-found');
      });
    });
  });
}
