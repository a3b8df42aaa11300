import { randomUUID } from 'node:crypto';
import { RtpEndpoint } from '../worker/rtp.ts';
import {
  BUILD_TIMEOUT,
  Instance,
  MICROPHONE,
  PlainSource,
  eventually,
  openLink,
  openViewer,
  workerBin,
} from './support.ts';

const CONFERENCE = '!link:luebeck.example';
const BERT = '@bert:luebeck.example/device';
const PACKETS = 50;
const PAYLOAD_BYTES = 400;

describe('a link between two SFUs', () => {
  let luebeck: Instance;
  let hamburg: Instance;
  let microphone: RtpEndpoint;
  const endpoints: RtpEndpoint[] = [];

  beforeAll(async () => {
    await workerBin();
    luebeck = await Instance.start('127.0.0.2');
    hamburg = await Instance.start('127.0.0.3');
  }, BUILD_TIMEOUT);

  afterAll(async () => {
    await luebeck.close();
    await hamburg.close();
  });

  beforeEach(async () => {
    microphone = await endpoint();
    for (const { client } of [luebeck, hamburg]) await client.request('conference.open', { conferenceId: CONFERENCE });
  });

  afterEach(async () => {
    for (const { client, notifications } of [luebeck, hamburg]) {
      await client.request('conference.close', { conferenceId: CONFERENCE });
      notifications.length = 0;
    }
    for (const each of endpoints.splice(0)) each.close();
  });

  const fails = (promise: Promise<unknown>, code: string) =>
    expectAsync(promise).toBeRejectedWith(jasmine.objectContaining({ code }));

  async function endpoint(): Promise<RtpEndpoint> {
    const opened = await RtpEndpoint.open();
    endpoints.push(opened);
    return opened;
  }

  function bert(): Promise<PlainSource> {
    return PlainSource.open(luebeck, {
      conferenceId: CONFERENCE,
      participantId: BERT,
      source: 'microphone',
      endpoint: microphone,
    });
  }

  /** Brings a source over the link. @returns its id at Hamburg */
  async function carry(linkId: string, source: PlainSource): Promise<string> {
    const sent = await luebeck.client.request('link.send', { linkId, producerId: source.producerId });
    const { producerId } = await hamburg.client.request('link.receive', {
      linkId,
      participantId: BERT,
      source: 'microphone',
      remoteId: source.producerId,
      ...sent,
    });
    return producerId;
  }

  async function viewer(producerId: string): Promise<RtpEndpoint> {
    const receiver = await endpoint();
    await openViewer(hamburg, { conferenceId: CONFERENCE, producerId, endpoint: receiver });
    return receiver;
  }

  const payload = (index: number) => Buffer.alloc(PAYLOAD_BYTES, index);
  function speak(source: PlainSource): void {
    for (let index = 0; index < PACKETS; index += 1) source.speak(payload(index));
  }

  async function bytesSent(): Promise<number> {
    const { links } = await luebeck.client.request('stats', {});
    return links[0]?.bytesSent ?? 0;
  }

  describe('One stream per link: a source on its way between two SFUs', () => {
    it('carries a source once for three viewers, unchanged', async () => {
      const source = await bert();
      const producerId = await carry(await openLink(luebeck, hamburg, CONFERENCE), source);
      const viewers = [await viewer(producerId), await viewer(producerId), await viewer(producerId)];
      speak(source);
      for (const receiver of viewers) {
        const packets = await receiver.receive(PACKETS);
        expect(packets.map((packet) => packet.payload)).toEqual(Array.from({ length: PACKETS }, (_, i) => payload(i)));
      }
      const once = PACKETS * PAYLOAD_BYTES;
      expect(await bytesSent()).toBeGreaterThan(once);
      expect(await bytesSent()).toBeLessThan(1.15 * once + 2000);
    });

    it('carries nothing of a source after unsend, and again after send', async () => {
      const source = await bert();
      const linkId = await openLink(luebeck, hamburg, CONFERENCE);
      const producerId = await carry(linkId, source);
      const receiver = await viewer(producerId);
      speak(source);
      await receiver.receive(PACKETS);
      const { producerId: sentId } = source;
      await luebeck.client.request('link.unsend', { linkId, producerId: sentId });
      await hamburg.client.request('producer.close', { producerId });
      const before = await bytesSent();
      speak(source);
      // The worker has taken all packets before it answers.
      await eventually(async () => {
        const { producer } = luebeck.running.sfu.conference(CONFERENCE).producer(sentId);
        return (await producer.getStats()).some(({ packetCount }) => packetCount === 2 * PACKETS);
      });
      expect((await bytesSent()) - before).toBeLessThan(500);
      expect(luebeck.running.sfu.link(linkId).sending).toEqual([]);

      const again = await viewer(await carry(linkId, source));
      speak(source);
      await again.receive(PACKETS);
    });
  });

  it('answers the same to a second send, also at the same time', async () => {
    const source = await bert();
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    const { producerId } = source;
    const answers = await Promise.all([1, 2, 3].map(() => luebeck.client.request('link.send', { linkId, producerId })));
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(luebeck.running.sfu.link(linkId).sending).toEqual([producerId]);
  });

  it('gives what it receives an id of its own, with the labels in the snapshot', async () => {
    const source = await bert();
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    const producerId = await carry(linkId, source);
    expect(producerId).not.toBe(source.producerId);
    const snapshot = hamburg.running.sfu.conference(CONFERENCE).snapshot();
    expect(snapshot.producers).toEqual([
      {
        producerId,
        participantId: BERT,
        source: 'microphone',
        kind: 'audio',
        paused: false,
        linkId,
        remoteId: source.producerId,
      },
    ]);
    expect(snapshot.links).toEqual([{ linkId, peer: 'one.example', connected: true, sending: [] }]);
  });

  it('pauses a source at the receiving side when told to', async () => {
    const source = await bert();
    const producerId = await carry(await openLink(luebeck, hamburg, CONFERENCE), source);
    const receiver = await viewer(producerId);
    await hamburg.client.request('producer.pause', { producerId });
    expect(hamburg.running.sfu.conference(CONFERENCE).producer(producerId).producer.paused).toBeTrue();
    speak(source);
    // All of them, not the first one only: what comes after the pause would be passed on, and rightly so.
    const { producer } = hamburg.running.sfu.conference(CONFERENCE).producer(producerId);
    await eventually(async () => (await producer.getStats()).some(({ packetCount }) => packetCount === PACKETS));
    await hamburg.client.request('producer.resume', { producerId });
    expect(receiver.received).toEqual([]);
    speak(source);
    await receiver.receive(PACKETS);
  });

  it('does not send on what came over a link', async () => {
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    const producerId = await carry(linkId, await bert());
    await fails(hamburg.client.request('link.send', { linkId, producerId }), 'bad-request');
  });

  it('tells who speaks on both sides, and when they stop', async () => {
    const source = await bert();
    await carry(await openLink(luebeck, hamburg, CONFERENCE), source);
    const talking = setInterval(() => source.speak(payload(1)), 20);
    try {
      for (const instance of [luebeck, hamburg]) {
        const told = await instance.hears('speaking', ({ participantIds }) => participantIds.length > 0);
        expect(told).toEqual({ conferenceId: CONFERENCE, participantIds: [BERT] });
      }
    } finally {
      clearInterval(talking);
    }
    await hamburg.hears('speaking', ({ participantIds }) => participantIds.length === 0);
  });

  it('ends for the viewers when either half is closed', async () => {
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    const producerId = await carry(linkId, await bert());
    await hamburg.client.request('link.close', { linkId });
    await hamburg.hears('producer.closed', (data) => data.producerId === producerId);
    await fails(hamburg.client.request('link.close', { linkId }), 'not-found');
    // The other half hears no more answers.
    await luebeck.hears('link.state', ({ state }) => state === 'interrupted');
  }, 10_000);

  it('is told as connected with its round-trip time', async () => {
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    await luebeck.hears('link.state', ({ state }) => state === 'connecting');
    const told = await luebeck.hears('link.state', ({ state }) => state === 'connected');
    expect(told.linkId).toBe(linkId);
    expect(told.peer).toBe('other.example');
    expect(told.roundTripMs).toBeGreaterThan(0);
    expect(told.loss).toBe(0);
  });

  it('is made once for each id and connected once', async () => {
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    const again = { conferenceId: CONFERENCE, linkId, peer: 'other.example' };
    await fails(luebeck.client.request('link.create', again), 'conflict');
    const half = await hamburg.client.request('link.create', {
      conferenceId: CONFERENCE,
      linkId: randomUUID(),
      peer: 'x.example',
    });
    await fails(
      luebeck.client.request('link.connect', { linkId, address: '127.0.0.3', probePort: 1000, ...half }),
      'conflict',
    );
  });

  it('listens within the ports that the SFU declares, with AEAD-AES-256-GCM', async () => {
    const half = await luebeck.client.request('link.create', {
      conferenceId: CONFERENCE,
      linkId: randomUUID(),
      peer: 'other.example',
    });
    const { min, max } = luebeck.config.linkPorts;
    expect(half.port).toBeGreaterThanOrEqual(min);
    expect(half.port).toBeLessThanOrEqual(max);
    expect(half.srtp.cryptoSuite).toBe('AEAD_AES_256_GCM');
    expect(Buffer.from(half.probeKey, 'base64').length).toBe(32);
  });

  it('refuses a source of another kind than its parameters', async () => {
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    await fails(
      hamburg.client.request('link.receive', {
        linkId,
        participantId: BERT,
        source: 'camera',
        remoteId: 'r',
        kind: 'audio',
        rtpParameters: MICROPHONE,
        paused: false,
      }),
      'bad-request',
    );
  });

  it('is refused as one too many when no port is left, and a port that is free again is taken', async () => {
    const { min, max } = luebeck.config.linkPorts;
    const create = (linkId: string) =>
      luebeck.client.request('link.create', { conferenceId: CONFERENCE, linkId, peer: 'hamburg.example' });
    const ids = Array.from({ length: max - min + 1 }, () => randomUUID());
    await Promise.all(ids.map(create));
    await fails(create(randomUUID()), 'exhausted');
    await luebeck.client.request('link.close', { linkId: ids[0] ?? '' });
    await create(randomUUID());
  });
});
