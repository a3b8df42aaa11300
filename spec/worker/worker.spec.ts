import type { PipeTransport, Router, SrtpCryptoSuite, SrtpParameters, Worker } from 'mediasoup/types';
import { randomBytes } from 'node:crypto';
import { RtpEndpoint, writeRtp } from './rtp.ts';
import { BUILD_TIMEOUT, OPUS, openPipe, openSink, openSource, startWorker } from './support.ts';

const SSRC = 4711;
const payloads = ['first', 'second', 'third'].map((text) => Buffer.from(text));

describe('the media worker of our build', () => {
  let workers: [Worker, Worker];
  let routers: [Router, Router];
  let sender: RtpEndpoint;
  let receiver: RtpEndpoint;

  beforeAll(async () => {
    workers = [await startWorker(), await startWorker()];
  }, BUILD_TIMEOUT);

  afterAll(() => workers.forEach((worker) => worker.close()));

  beforeEach(async () => {
    const mediaCodecs = [OPUS];
    routers = [await workers[0].createRouter({ mediaCodecs }), await workers[1].createRouter({ mediaCodecs })];
    sender = await RtpEndpoint.open();
    receiver = await RtpEndpoint.open();
  });

  afterEach(() => {
    routers.forEach((router) => router.close());
    sender.close();
    receiver.close();
  });

  it('listens for browsers on one UDP and one TCP port', async () => {
    const server = await workers[0].createWebRtcServer({
      listenInfos: [
        { protocol: 'udp', ip: '127.0.0.2' },
        { protocol: 'tcp', ip: '127.0.0.2' },
      ],
    });
    const transport = await routers[0].createWebRtcTransport({ webRtcServer: server });
    expect(transport.iceCandidates.map(({ ip, protocol }) => `${protocol} ${ip}`)).toEqual([
      'udp 127.0.0.2',
      'tcp 127.0.0.2',
    ]);
    server.close();
  });

  describe('with a pipe to another worker', () => {
    let near: PipeTransport;
    let far: PipeTransport;

    beforeEach(async () => {
      near = await openPipe(routers[0], { enableSrtp: true });
      far = await openPipe(routers[1], { enableSrtp: true });
    });

    /** Connects both ends and leads the sender's stream through them to the receiver. */
    async function connectAndSend(keyOfNear: SrtpParameters | undefined): Promise<void> {
      await near.connect({ ...addressOf(far), srtpParameters: far.srtpParameters });
      await far.connect({ ...addressOf(near), srtpParameters: keyOfNear });
      const source = await openSource(routers[0]);
      const producer = await source.produce({ kind: 'audio', rtpParameters: opusStream() });
      const piped = await near.consume({ producerId: producer.id });
      const arrived = await far.produce({ id: producer.id, kind: 'audio', rtpParameters: piped.rtpParameters });
      const sink = await openSink(routers[1], receiver);
      await sink.consume({ producerId: arrived.id, rtpCapabilities: routers[1].rtpCapabilities });
      send(source.tuple);
    }

    it('carries a stream through it, encrypted with the key of each end', async () => {
      await connectAndSend(near.srtpParameters);
      const packets = await receiver.receive(payloads.length);
      expect(packets.map((packet) => packet.payload)).toEqual(payloads);
    });

    it('lets nothing through that is encrypted with another key', async () => {
      await connectAndSend({ cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') });
      await eventually(async () => (await bytesReceived(far)) > 0);
      // What the far end hands on, it hands on before it answers the next request.
      await far.dump();
      expect(receiver.received).toEqual([]);
    });
  });

  const masterKeyLengths: Record<SrtpCryptoSuite, number> = {
    AEAD_AES_256_GCM: 44,
    AEAD_AES_128_GCM: 28,
    AES_CM_128_HMAC_SHA1_80: 30,
    AES_CM_128_HMAC_SHA1_32: 30,
  };
  for (const cryptoSuite of Object.keys(masterKeyLengths) as SrtpCryptoSuite[]) {
    it(`encrypts and decrypts with ${cryptoSuite}`, async () => {
      const options = { listenInfo: { protocol: 'udp', ip: '127.0.0.1' }, rtcpMux: true, enableSrtp: true } as const;
      const out = await routers[0].createPlainTransport({ ...options, srtpCryptoSuite: cryptoSuite });
      const into = await routers[1].createPlainTransport({ ...options, srtpCryptoSuite: cryptoSuite });
      expect(Buffer.from(out.srtpParameters?.keyBase64 ?? '', 'base64').length).toBe(masterKeyLengths[cryptoSuite]);
      await out.connect({ ...addressOf(into), srtpParameters: into.srtpParameters });
      await into.connect({ ...addressOf(out), srtpParameters: out.srtpParameters });

      const source = await openSource(routers[0]);
      const producer = await source.produce({ kind: 'audio', rtpParameters: opusStream() });
      const { rtpCapabilities } = routers[0];
      const outgoing = await out.consume({ producerId: producer.id, rtpCapabilities });
      const arrived = await into.produce({ kind: 'audio', rtpParameters: outgoing.rtpParameters });
      const sink = await openSink(routers[1], receiver);
      await sink.consume({ producerId: arrived.id, rtpCapabilities });
      send(source.tuple);
      expect((await receiver.receive(payloads.length)).map((packet) => packet.payload)).toEqual(payloads);
    });
  }

  function send(to: { localAddress: string; localPort: number }): void {
    payloads.forEach((payload, i) =>
      sender.send(
        writeRtp({ payloadType: 111, sequenceNumber: 1000 + i, timestamp: 960 * i, ssrc: SSRC, payload }),
        to,
      ),
    );
  }
});

function opusStream() {
  return {
    codecs: [{ mimeType: 'audio/opus', payloadType: 111, clockRate: 48000, channels: 2 }],
    encodings: [{ ssrc: SSRC }],
  };
}

function addressOf(transport: { tuple: { localAddress: string; localPort: number } }): { ip: string; port: number } {
  return { ip: transport.tuple.localAddress, port: transport.tuple.localPort };
}

async function bytesReceived(transport: PipeTransport): Promise<number> {
  const stats = await transport.getStats();
  return stats.reduce((sum, stat) => sum + stat.bytesReceived, 0);
}

/** Resolves when the condition holds; the time limit is that of the test. */
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
