import { randomBytes } from 'node:crypto';
import type { RtpCapabilities } from '../../protocol/media.ts';
import { handleRequest, requestHandlers } from '../../sfu/requests.ts';
import { BUILD_TIMEOUT, CAMERA, Instance, MICROPHONE, eventually, workerBin } from './support.ts';

const CONFERENCE = '!media:luebeck.example';
const BERT = '@bert:luebeck.example/device';
const ANNA = '@anna:luebeck.example/device';

describe('media of the participants', () => {
  let instance: Instance;
  let capabilities: RtpCapabilities;
  let sendId: string;
  let receiveId: string;

  beforeAll(async () => {
    await workerBin();
    instance = await Instance.start('127.0.0.2');
  }, BUILD_TIMEOUT);

  afterAll(() => instance.close());

  beforeEach(async () => {
    const { client } = instance;
    ({ rtpCapabilities: capabilities } = await client.request('conference.open', { conferenceId: CONFERENCE }));
    const open = (participantId: string, direction: 'send' | 'receive') =>
      client.request('transport.create', { conferenceId: CONFERENCE, participantId, direction });
    ({ id: sendId } = await open(BERT, 'send'));
    ({ id: receiveId } = await open(ANNA, 'receive'));
  });

  afterEach(async () => {
    await instance.client.request('conference.close', { conferenceId: CONFERENCE });
    instance.notifications.length = 0;
  });

  const fails = (promise: Promise<unknown>, code: string) =>
    expectAsync(promise).toBeRejectedWith(jasmine.objectContaining({ code }));

  const camera = (paused = false) =>
    instance.client.request('producer.create', {
      transportId: sendId,
      source: 'camera',
      rtpParameters: CAMERA,
      paused,
    });

  const watch = (producerId: string) =>
    instance.client.request('consumer.create', {
      transportId: receiveId,
      producerId,
      rtpCapabilities: capabilities,
      layers: { spatialLayer: 0 },
      priority: 100,
    });

  const conference = () => instance.running.sfu.conference(CONFERENCE).snapshot();

  it('can be Opus, VP8, VP9, H.264 and AV1, without the orientation extension', () => {
    const codecs = new Set(
      capabilities.codecs?.map(({ mimeType }) => mimeType).filter((type) => !type.endsWith('rtx')),
    );
    expect([...codecs]).toEqual(['audio/opus', 'video/VP8', 'video/VP9', 'video/H264', 'video/AV1']);
    expect(capabilities.headerExtensions?.map(({ uri }) => uri)).not.toContain('urn:3gpp:video-orientation');
  });

  it('open a conference once, whoever asks', async () => {
    const { client } = instance;
    await Promise.all([1, 2, 3].map(() => client.request('conference.open', { conferenceId: CONFERENCE })));
    expect(conference().transports.length).toBe(2);
  });

  it('reach clients on one UDP and one TCP port', async () => {
    const made = await instance.client.request('transport.create', {
      conferenceId: CONFERENCE,
      participantId: BERT,
      direction: 'send',
    });
    const { listenIp, webRtcPort } = instance.config;
    expect(made.iceCandidates.map(({ protocol, address, port }) => `${protocol} ${address}:${port}`)).toEqual([
      `udp ${listenIp}:${webRtcPort}`,
      `tcp ${listenIp}:${webRtcPort}`,
    ]);
  });

  it('connect a transport once', async () => {
    const value = (randomBytes(32).toString('hex').match(/../g) ?? []).join(':').toUpperCase();
    const params = {
      transportId: sendId,
      dtlsParameters: { role: 'client' as const, fingerprints: [{ algorithm: 'sha-256' as const, value }] },
    };
    await instance.client.request('transport.connect', params);
    await fails(instance.client.request('transport.connect', params), 'conflict');
    const { iceParameters } = await instance.client.request('transport.restartIce', { transportId: sendId });
    expect(iceParameters.password).toBeTruthy();
  });

  it('go from a producer to a consumer that begins paused', async () => {
    const { producerId } = await camera();
    const made = await watch(producerId);
    expect(made.kind).toBe('video');
    expect(made.producerPaused).toBeFalse();
    expect(made.rtpParameters.encodings?.length).toBe(1);
    expect(conference().consumers).toEqual([
      { consumerId: made.consumerId, producerId, transportId: receiveId, paused: true },
    ]);
    await instance.client.request('consumer.resume', { consumerId: made.consumerId });
    expect(conference().consumers[0]?.paused).toBeFalse();
    const { consumerId } = made;
    await instance.client.request('consumer.prefer', { consumerId, layers: { spatialLayer: 1, temporalLayer: 2 } });
    await instance.client.request('consumer.prefer', { consumerId, priority: 255 });
    const { consumer } = instance.running.sfu.consumer(consumerId);
    expect(consumer.preferredLayers).toEqual({ spatialLayer: 1, temporalLayer: 2 });
    expect(consumer.priority).toBe(255);
  });

  it('pause and resume at the producer', async () => {
    const { producerId } = await camera(true);
    expect((await watch(producerId)).producerPaused).toBeTrue();
    await instance.client.request('producer.resume', { producerId });
    expect(conference().producers[0]?.paused).toBeFalse();
    await instance.client.request('producer.pause', { producerId });
    expect(conference().producers).toEqual([
      { producerId, participantId: BERT, source: 'camera', kind: 'video', paused: true, transportId: sendId },
    ]);
  });

  it('end at the consumers when the producer ends, and the homeserver hears of what it did not ask for', async () => {
    const { producerId } = await camera();
    const { consumerId } = await watch(producerId);
    await instance.client.request('producer.close', { producerId });
    await instance.hears('consumer.closed', (data) => data.consumerId === consumerId);
    expect(instance.told('producer.closed')).toEqual([]);
    expect(conference().producers).toEqual([]);
    expect(conference().consumers).toEqual([]);
  });

  it('end when the sender’s transport ends', async () => {
    const { producerId } = await camera();
    const { consumerId } = await watch(producerId);
    await instance.client.request('transport.close', { transportId: sendId });
    await instance.hears('producer.closed', (data) => data.producerId === producerId);
    await instance.hears('consumer.closed', (data) => data.consumerId === consumerId);
    expect(conference().transports.map(({ transportId }) => transportId)).toEqual([receiveId]);
  });

  it('leave no consumer behind when the receiver’s transport ends', async () => {
    const { producerId } = await camera();
    await watch(producerId);
    await instance.client.request('transport.close', { transportId: receiveId });
    expect(conference().consumers).toEqual([]);
    expect(instance.told('consumer.closed')).toEqual([]);
  });

  it('have a kind that fits the source', async () => {
    const { client } = instance;
    await fails(
      client.request('producer.create', {
        transportId: sendId,
        source: 'camera',
        rtpParameters: MICROPHONE,
        paused: false,
      }),
      'bad-request',
    );
  });

  it('go only the way that a transport is for', async () => {
    const { producerId } = await camera();
    const { client } = instance;
    await fails(
      client.request('producer.create', {
        transportId: receiveId,
        source: 'microphone',
        rtpParameters: MICROPHONE,
        paused: false,
      }),
      'bad-request',
    );
    await fails(
      client.request('consumer.create', { transportId: sendId, producerId, rtpCapabilities: capabilities }),
      'bad-request',
    );
  });

  it('are refused to a client without the codec, and to one of another conference', async () => {
    const { producerId } = await camera();
    const { client } = instance;
    const rtpCapabilities = { codecs: capabilities.codecs?.filter(({ kind }) => kind === 'audio') };
    await fails(
      client.request('consumer.create', { transportId: receiveId, producerId, rtpCapabilities }),
      'unsupported',
    );

    const conferenceId = '!other:luebeck.example';
    await client.request('conference.open', { conferenceId });
    const other = await client.request('transport.create', { conferenceId, participantId: BERT, direction: 'receive' });
    await fails(
      client.request('consumer.create', { transportId: other.id, producerId, rtpCapabilities: capabilities }),
      'not-found',
    );
    await client.request('conference.close', { conferenceId });
  });

  it('are all gone after the participant was closed, and those of others stay', async () => {
    const { client } = instance;
    const { producerId } = await camera();
    await watch(producerId);
    await client.request('participant.close', { conferenceId: CONFERENCE, participantId: ANNA });
    expect(conference().transports.map(({ participantId }) => participantId)).toEqual([BERT]);
    expect(conference().consumers).toEqual([]);
    expect(conference().producers.length).toBe(1);
    await client.request('participant.close', { conferenceId: CONFERENCE, participantId: BERT });
    expect(conference()).toEqual(jasmine.objectContaining({ transports: [], producers: [], consumers: [] }));
    await client.request('participant.close', { conferenceId: '!unknown:x', participantId: BERT });
  });

  it('do not come into being when the participant is closed before they are there', async () => {
    const { client, running } = instance;
    const transport = { conferenceId: CONFERENCE, participantId: BERT, direction: 'send' as const };
    const produce = { transportId: sendId, source: 'camera' as const, rtpParameters: CAMERA, paused: false };
    // In one turn: what comes over the line has a turn for each request.
    const handlers = requestHandlers(running.sfu);
    const requests = [
      handleRequest(handlers, 'transport.create', transport),
      handleRequest(handlers, 'producer.create', produce),
      handleRequest(handlers, 'participant.close', { conferenceId: CONFERENCE, participantId: BERT }),
    ];
    const outcomes = (await Promise.allSettled(requests)).slice(0, 2);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const { transportIds } = await running.sfu.conference(CONFERENCE).router.dump();
    expect(conference().producers).toEqual([]);
    expect(transportIds.length).withContext('in the worker: that of the other participant').toBe(1);
    const again = await client.request('transport.create', transport);
    expect(conference().transports.map(({ transportId }) => transportId)).toContain(again.id);
  });

  it('do not come into being when the conference is closed before it is there; the next one is another', async () => {
    const { client, running } = instance;
    const conferenceId = '!brief:luebeck.example';
    const handlers = requestHandlers(running.sfu);
    const opening = handleRequest(handlers, 'conference.open', { conferenceId });
    const closing = handleRequest(handlers, 'conference.close', { conferenceId });
    const again = handleRequest(handlers, 'conference.open', { conferenceId });
    await expectAsync(opening).toBeRejected();
    await Promise.all([closing, again]);
    expect(running.sfu.conference(conferenceId).ended).toBeFalse();
    await client.request('conference.close', { conferenceId });
  });

  it('are all gone after the conference was closed', async () => {
    await watch((await camera()).producerId);
    await instance.client.request('conference.close', { conferenceId: CONFERENCE });
    await eventually(() => instance.running.sfu.snapshot().conferences.length === 0);
    await fails(instance.client.request('transport.restartIce', { transportId: sendId }), 'not-found');
    expect(instance.notifications).toEqual([]);
  });
});
