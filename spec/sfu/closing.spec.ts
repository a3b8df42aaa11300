/** What ends takes along what is in it, also what is just being made. Requests that belong together come in one turn. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { RtpCapabilities } from '../../protocol/media.ts';
import type { SfuMethod, SfuParams, SfuResult } from '../../sfu/protocol.ts';
import { handleRequest, requestHandlers } from '../../sfu/requests.ts';
import { BUILD_TIMEOUT, CAMERA, Instance, MICROPHONE, workerBin } from './support.ts';

const CONFERENCE = '!closing:luebeck.example';
const OTHER = '!other:luebeck.example';
const BERT = '@bert:luebeck.example/device';
const ANNA = '@anna:luebeck.example/device';

describe('what ends in an SFU', () => {
  let instance: Instance;
  let rtpCapabilities: RtpCapabilities;
  let sendId: string;
  let receiveId: string;

  beforeAll(async () => {
    await workerBin();
    instance = await Instance.start('127.0.0.2');
  }, BUILD_TIMEOUT);
  afterAll(() => instance.close());

  beforeEach(async () => {
    ({ rtpCapabilities } = await ask('conference.open', { conferenceId: CONFERENCE }));
    const open = (participantId: string, direction: 'send' | 'receive') =>
      ask('transport.create', { conferenceId: CONFERENCE, participantId, direction });
    ({ id: sendId } = await open(BERT, 'send'));
    ({ id: receiveId } = await open(ANNA, 'receive'));
  });
  afterEach(async () => {
    for (const conferenceId of [CONFERENCE, OTHER]) await ask('conference.close', { conferenceId });
    instance.notifications.length = 0;
  });

  /** In this turn, as if it were the only request of its message. */
  function ask<M extends SfuMethod>(method: M, params: SfuParams<M>): Promise<SfuResult<M>> {
    return handleRequest(requestHandlers(instance.running.sfu), method, params) as Promise<SfuResult<M>>;
  }

  const refused = (promise: Promise<unknown>, code: string) =>
    expectAsync(promise).toBeRejectedWith(jasmine.objectContaining({ code }));

  const conference = () => instance.running.sfu.conference(CONFERENCE);
  const produce = (source: 'camera' | 'microphone' = 'microphone') =>
    ask('producer.create', {
      transportId: sendId,
      source,
      rtpParameters: source === 'camera' ? CAMERA : MICROPHONE,
      paused: false,
    });
  const consume = (producerId: string) =>
    ask('consumer.create', { transportId: receiveId, producerId, rtpCapabilities });
  const createLink = (linkId: string, conferenceId = CONFERENCE) =>
    ask('link.create', { conferenceId, linkId, peer: 'hamburg.example' });
  const target = (linkId: string): SfuParams<'link.connect'> => ({
    linkId,
    address: '127.0.0.99',
    port: 40_000,
    probePort: 40_001,
    srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') },
    probeKey: randomBytes(32).toString('base64'),
  });

  /** What the media worker itself has. */
  const inWorker = async () => {
    const dump = await conference().router.dump();
    return {
      transports: dump.transportIds.length,
      producers: dump.mapProducerIdConsumerIds.length,
      consumers: dump.mapConsumerIdProducerId.length,
    };
  };

  it('is a source whose transport is closed while it is made', async () => {
    const making = refused(produce(), 'not-found');
    await ask('transport.close', { transportId: sendId });
    await making;
    expect(conference().snapshot().producers).toEqual([]);
    expect(await inWorker()).toEqual({ transports: 1, producers: 0, consumers: 0 });
  });

  it('is a consumer whose transport is closed while it is made', async () => {
    const { producerId } = await produce();
    const making = refused(consume(producerId), 'not-found');
    await ask('transport.close', { transportId: receiveId });
    await making;
    expect(conference().snapshot().consumers).toEqual([]);
    expect(await inWorker()).toEqual({ transports: 1, producers: 1, consumers: 0 });
  });

  it('is a consumer whose source is closed while it is made', async () => {
    const { producerId } = await produce();
    const making = Promise.allSettled([consume(producerId)]);
    await ask('producer.close', { producerId });
    await making;
    await instance.client.request('stats', {});
    expect(conference().snapshot().consumers).toEqual([]);
    expect(await inWorker()).toEqual({ transports: 2, producers: 0, consumers: 0 });
  });

  it('is a transport whose conference is closed while it is made', async () => {
    const making = refused(
      ask('transport.create', { conferenceId: CONFERENCE, participantId: BERT, direction: 'send' }),
      'not-found',
    );
    await ask('conference.close', { conferenceId: CONFERENCE });
    await making;
    await ask('conference.open', { conferenceId: CONFERENCE });
    expect(await inWorker()).toEqual({ transports: 0, producers: 0, consumers: 0 });
  });

  it('is a link whose conference is closed while it is made, and its id is free', async () => {
    const linkId = randomUUID();
    const making = refused(createLink(linkId), 'not-found');
    await ask('conference.close', { conferenceId: CONFERENCE });
    await making;
    await ask('conference.open', { conferenceId: CONFERENCE });
    await createLink(linkId);
    expect(
      conference()
        .snapshot()
        .links.map((link) => link.linkId),
    ).toEqual([linkId]);
  });

  it('are the links of a conference, with what came over them, which nobody is told who closed it', async () => {
    const linkId = randomUUID();
    await createLink(linkId);
    const { producerId } = await ask('link.receive', {
      linkId,
      participantId: '@otto:hamburg.example|DESK',
      source: 'camera',
      remoteId: 'theirs',
      kind: 'video',
      rtpParameters: CAMERA,
      paused: false,
    });
    await consume(producerId);
    const connecting = refused(ask('link.connect', target(linkId)), 'not-found');
    await ask('conference.close', { conferenceId: CONFERENCE });
    await connecting;
    await refused(ask('link.close', { linkId }), 'not-found');
    await refused(ask('producer.pause', { producerId }), 'not-found');
    expect((await ask('stats', {})).links).toEqual([]);
    expect([...instance.told('producer.closed'), ...instance.told('consumer.closed')]).toEqual([]);
  });

  it('is a link and its consumers with it, and the source goes on', async () => {
    const linkId = randomUUID();
    await createLink(linkId);
    const { producerId } = await produce();
    await ask('link.send', { linkId, producerId });
    expect((await inWorker()).consumers).toBe(1);
    await ask('link.close', { linkId });
    expect(await inWorker()).toEqual({ transports: 2, producers: 1, consumers: 0 });
    expect(conference().snapshot().producers.length).toBe(1);
  });

  it('is what a link begins to send and is told not to in the same moment', async () => {
    const linkId = randomUUID();
    await createLink(linkId);
    const { producerId } = await produce();
    const sending = ask('link.send', { linkId, producerId });
    await ask('link.unsend', { linkId, producerId });
    await sending;
    expect(conference().snapshot().links[0]?.sending).toEqual([]);
    expect((await inWorker()).consumers).toBe(0);
  });

  it('is not what a link is told to send again after that', async () => {
    const linkId = randomUUID();
    await createLink(linkId);
    const { producerId } = await produce();
    await Promise.all([
      ask('link.send', { linkId, producerId }),
      ask('link.unsend', { linkId, producerId }),
      ask('link.send', { linkId, producerId }),
    ]);
    expect(conference().snapshot().links[0]?.sending).toEqual([producerId]);
    expect((await inWorker()).consumers).toBe(1);
  });

  it('is what a link begins to receive when it is closed', async () => {
    const linkId = randomUUID();
    await createLink(linkId);
    const receiving = refused(
      ask('link.receive', {
        linkId,
        participantId: '@otto:hamburg.example|DESK',
        source: 'microphone',
        remoteId: 'theirs',
        kind: 'audio',
        rtpParameters: MICROPHONE,
        paused: false,
      }),
      'not-found',
    );
    await ask('link.close', { linkId });
    await receiving;
    expect(conference().snapshot().producers).toEqual([]);
    expect(await inWorker()).toEqual({ transports: 2, producers: 0, consumers: 0 });
  });

  it('is not a link that could not be connected: it can be tried again', async () => {
    const linkId = randomUUID();
    await createLink(linkId);
    const good = target(linkId);
    const short = randomBytes(31).toString('base64');
    await refused(ask('link.connect', { ...good, probeKey: short }), 'bad-request');
    await refused(ask('link.connect', { ...good, address: '224.0.0.1' }), 'bad-request');
    const [first, second] = [ask('link.connect', good), ask('link.connect', good)];
    await refused(second, 'conflict');
    const ended = refused(first, 'not-found');
    await ask('link.close', { linkId });
    await ended;
  });

  it('is nothing of another conference, nor may its link have the id of one there', async () => {
    await ask('conference.open', { conferenceId: OTHER });
    const linkId = randomUUID();
    await createLink(linkId, OTHER);
    await refused(createLink(linkId), 'conflict');
    await ask('conference.close', { conferenceId: CONFERENCE });
    expect((await ask('stats', {})).links.map((link) => link.conferenceId)).toEqual([OTHER]);
    await ask('conference.open', { conferenceId: CONFERENCE });
    await refused(ask('link.send', { linkId, producerId: 'none' }), 'not-found');
  });

  it('is a source while somebody waits for its first media, who hears that none came', async () => {
    const { producerId } = await produce();
    const waiting = ask('producer.flowing', { producerId, withinMs: 10_000 });
    await ask('producer.close', { producerId });
    expect(await waiting).toEqual({ flowing: false });
  });

  it('is a picture that should take the place of another one, whose place is free then', async () => {
    const { producerId } = await produce('camera');
    const [old, next] = [await consume(producerId), await consume(producerId)];
    const replacing = ask('consumer.replace', { consumerId: next.consumerId, oldConsumerId: old.consumerId });
    await ask('transport.close', { transportId: receiveId });
    await Promise.allSettled([replacing]);
    expect(conference().snapshot().consumers).toEqual([]);
    expect((await inWorker()).consumers).toBe(0);
  });

  it('is the old picture after three seconds, also where the new one has brought no key frame', async () => {
    const { producerId } = await produce('camera');
    const [old, next] = [await consume(producerId), await consume(producerId)];
    await ask('consumer.replace', { consumerId: next.consumerId, oldConsumerId: old.consumerId });
    expect(
      conference()
        .snapshot()
        .consumers.map((each) => [each.consumerId, each.paused]),
    ).toEqual([[next.consumerId, false]]);
  });

  it('is everything at once when no homeserver is there any more', async () => {
    await ask('conference.open', { conferenceId: OTHER });
    await createLink(randomUUID(), OTHER);
    const opening = refused(ask('conference.open', { conferenceId: '!third:luebeck.example' }), 'not-found');
    instance.running.sfu.closeAll();
    await opening;
    expect(instance.running.sfu.snapshot().conferences).toEqual([]);
    await ask('conference.open', { conferenceId: CONFERENCE });
    expect(await inWorker()).toEqual({ transports: 0, producers: 0, consumers: 0 });
  });
});
