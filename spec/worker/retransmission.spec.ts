import type { Router, RtpParameters, Worker } from 'mediasoup/types';
import { RtpEndpoint, vp8Payload, writeNack, writeRtp, type RtpPacket } from './rtp.ts';
import { BUILD_TIMEOUT, VP8, openPipe, openSink, openSource, startWorker } from './support.ts';

const SSRC = 4711;
const FIRST_SEQUENCE_NUMBER = 30_000;
const frames = Array.from({ length: 8 }, (_, i) =>
  vp8Payload({ pictureId: 5000 + i, tl0PictureIndex: 200 + i, keyFrame: i === 0 }),
);

/**
 * Viewers of a source with layers get picture ids of their own numbering, links get the sender's. mediasoup 3.27.1 as
 * published resends packets on a link with the numbers of a viewer (deploy/worker/patches.mjs).
 */
describe('VP8 packets that the media worker sends again', () => {
  let worker: Worker;
  let router: Router;
  let sender: RtpEndpoint;
  let endpoints: RtpEndpoint[];

  beforeAll(async () => {
    worker = await startWorker();
  }, BUILD_TIMEOUT);

  afterAll(() => worker.close());

  beforeEach(async () => {
    router = await worker.createRouter({ mediaCodecs: [VP8] });
    sender = await RtpEndpoint.open();
    endpoints = [sender];
  });

  afterEach(() => {
    router.close();
    endpoints.forEach((endpoint) => endpoint.close());
  });

  it('are on a link those of the sender, whatever viewers of the same source got', async () => {
    const source = await openSource(router);
    const { id: producerId } = await source.produce({ kind: 'video', rtpParameters: vp8Stream() });
    // The order in which the worker serves the consumers is not ours, so there is a viewer before the link and after.
    const viewer = await openViewer(producerId);
    const link = await openLink(producerId);
    const laterViewer = await openViewer(producerId);
    frames.forEach((payload, i) => sender.send(rtp(i, payload), source.tuple));

    const sent = await link.endpoint.receive(frames.length, ({ ssrc }) => ssrc === link.stream.ssrc);
    expect(sent.map(({ payload }) => payload)).toEqual(frames);
    for (const { endpoint } of [viewer, laterViewer]) {
      const shown = await endpoint.receive(frames.length);
      expect(shown.map(pictureId)).withContext('a viewer').toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    }

    const resent = await link.sendAgain(sent.slice(1, 6));
    expect(resent).toEqual(frames.slice(1, 6));
  });

  it('are for a viewer those that this viewer got before', async () => {
    const source = await openSource(router);
    const { id: producerId } = await source.produce({ kind: 'video', rtpParameters: vp8Stream() });
    await openLink(producerId);
    const viewer = await openViewer(producerId);
    await openLink(producerId);
    frames.forEach((payload, i) => sender.send(rtp(i, payload), source.tuple));

    const shown = await viewer.endpoint.receive(frames.length);
    const resent = await viewer.sendAgain(shown.slice(1, 6));
    expect(resent).toEqual(shown.slice(1, 6).map(({ payload }) => payload));
  });

  async function openLink(producerId: string) {
    const endpoint = await openEndpoint();
    const transport = await openPipe(router, { enableSrtp: false });
    await transport.connect(endpoint.address);
    const consumer = await transport.consume({ producerId });
    return far(endpoint, transport, consumer.rtpParameters);
  }

  async function openViewer(producerId: string) {
    const endpoint = await openEndpoint();
    const transport = await openSink(router, endpoint);
    // Without header extensions there is no bandwidth estimation, which would send probes and hold frames back.
    const rtpCapabilities = { ...router.rtpCapabilities, headerExtensions: [] };
    const consumer = await transport.consume({ producerId, rtpCapabilities });
    return far(endpoint, transport, consumer.rtpParameters);
  }

  async function openEndpoint(): Promise<RtpEndpoint> {
    const endpoint = await RtpEndpoint.open();
    endpoints.push(endpoint);
    return endpoint;
  }

  /** The receiving end of a consumer: asks for packets again and returns what came, without the header of RTX. */
  function far(
    endpoint: RtpEndpoint,
    transport: { tuple: { localAddress: string; localPort: number } },
    parameters: RtpParameters,
  ) {
    const stream = { ssrc: parameters.encodings?.[0]?.ssrc ?? 0, rtx: parameters.encodings?.[0]?.rtx?.ssrc ?? 0 };
    const sendAgain = async (lost: readonly RtpPacket[]): Promise<Buffer[]> => {
      const sequenceNumbers = lost.map(({ sequenceNumber }) => sequenceNumber);
      endpoint.send(writeNack(stream.ssrc, sequenceNumbers), transport.tuple);
      const packets = await endpoint.receive(lost.length, ({ ssrc }) => ssrc === stream.rtx);
      // RTX puts the original sequence number before the payload (RFC 4588 section 4).
      expect(packets.map(({ payload }) => payload.readUInt16BE(0))).toEqual(sequenceNumbers);
      return packets.map(({ payload }) => payload.subarray(2));
    };
    return { endpoint, stream, sendAgain };
  }
});

function rtp(index: number, payload: Buffer): Buffer {
  const sequenceNumber = FIRST_SEQUENCE_NUMBER + index;
  return writeRtp({ payloadType: 96, sequenceNumber, timestamp: 3000 * index, ssrc: SSRC, payload });
}

function pictureId({ payload }: RtpPacket): number {
  return payload.readUInt16BE(2) & 0x7fff;
}

/** A source of two layers, for which the worker numbers the pictures anew for each viewer; only one layer is sent. */
function vp8Stream(): RtpParameters {
  const rtcpFeedback = [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }];
  return {
    codecs: [{ mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, rtcpFeedback }],
    encodings: [{ ssrc: SSRC }, { ssrc: SSRC + 1 }],
  };
}
