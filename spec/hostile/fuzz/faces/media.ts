/** Media of a hostile SFU: RTP, RTCP and probes at the ports of a link, and whatever comes to the port of browsers. */
import { randomBytes, randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { linkTag, readProbe, writeProbe } from '../../../../sfu/probe-packet.ts';
import type { SfuClient } from '../../../../sfu/client.ts';
import type { Random } from '../../../soak/random.ts';
import { CAMERA, connect, eventually, MICROPHONE } from '../../../sfu/support.ts';
import { vp8Payload, writeNack, writeRtp } from '../../../worker/rtp.ts';
import type { Answered, Face } from '../face.ts';
import { mutateBytes } from '../mutate.ts';
import { SrtpSender } from '../srtp.ts';
import type { Target } from '../target-process.ts';

interface PacketInput {
  readonly kind: 'rtp' | 'rtcp' | 'plain' | 'probe' | 'stun' | 'dtls';
  /** In hexadecimal, before it is encrypted. */
  readonly packets: readonly string[];
  /** What of each RTP packet is its header, in bytes. */
  readonly headerLength: number;
}

const CONFERENCE = '!media:localhost';
const ADDRESS = '127.0.0.9';
const AUDIO_SSRC = 4711;
const VIDEO_SSRC = 5001;
/** Long enough for the packets to be read. */
const PAUSE_MS = 4;
const ASK_EVERY = 50;

/** Packets as good ones are; each is then changed. */
function goodPacket(random: Random, kind: PacketInput['kind']): Buffer {
  const ssrc = random.of([AUDIO_SSRC, VIDEO_SSRC, 6001, random.whole(0, 0xffff_ffff)]);
  switch (kind) {
    case 'rtp':
    case 'plain':
      return writeRtp({
        payloadType: random.of([111, 96, 97, 100, random.whole(0, 127)]),
        sequenceNumber: random.of([0, 1, 65_535, random.whole(0, 65_535)]),
        timestamp: random.of([0, 0xffff_ffff, random.whole(0, 0xffff_ffff)]),
        ssrc,
        payload: random.chance(0.5)
          ? vp8Payload({
              pictureId: random.whole(0, 32_767),
              tl0PictureIndex: random.whole(0, 255),
              keyFrame: random.chance(0.5),
            })
          : Buffer.alloc(random.whole(0, 1_200), random.whole(0, 255)),
      });
    case 'rtcp':
      return random.of(RTCP)(random, ssrc);
    case 'probe':
      // The end of a probe; what is before it is made good.
      return Buffer.alloc(random.of([0, 1, 32, 48, 72]), random.whole(0, 255));
    case 'stun': {
      const request = Buffer.alloc(20 + 8);
      request.writeUInt16BE(random.of([0x0001, 0x0101, 0x0111, 0x0003]), 0);
      request.writeUInt16BE(8, 2);
      request.writeUInt32BE(0x2112_a442, 4);
      request.writeUInt16BE(random.of([0x0006, 0x0008, 0x0024, 0x8028, 0x0020]), 20);
      request.writeUInt16BE(4, 22);
      return request;
    }
    case 'dtls':
      return Buffer.concat([Buffer.from([22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100]), Buffer.alloc(100, 1)]);
  }
}

/** Sender and receiver reports, descriptions, ends, feedback and extended reports (RFC 3550, 4585, 5104, 3611). */
const RTCP: readonly ((random: Random, ssrc: number) => Buffer)[] = [
  (_random, ssrc) => rtcp(200, 0, ssrc, 20),
  (_random, ssrc) => rtcp(200, 1, ssrc, 44),
  (_random, ssrc) => rtcp(201, 1, ssrc, 24),
  (_random, ssrc) => rtcp(202, 1, ssrc, 12),
  (_random, ssrc) => rtcp(203, 1, ssrc, 0),
  (random, ssrc) =>
    writeNack(
      ssrc,
      Array.from({ length: random.whole(0, 40) }, () => random.whole(0, 65_535)),
    ),
  (random, ssrc) => rtcp(205, random.whole(0, 31), ssrc, random.whole(0, 10) * 4),
  (random, ssrc) => rtcp(206, random.whole(0, 31), ssrc, random.whole(0, 10) * 4),
  (random, ssrc) => rtcp(207, random.whole(0, 31), ssrc, random.whole(0, 10) * 4),
  (_random, ssrc) => Buffer.concat([rtcp(201, 0, ssrc, 0), rtcp(206, 1, ssrc, 4), rtcp(206, 4, ssrc, 12)]),
];

function rtcp(type: number, count: number, ssrc: number, length: number): Buffer {
  const packet = Buffer.alloc(8 + length, 1);
  packet[0] = 0x80 | count;
  packet[1] = type;
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
  packet.writeUInt32BE(ssrc, 4);
  return packet;
}

function packetInput(random: Random): PacketInput {
  const kind = random.weighted<PacketInput['kind']>([
    [40, 'rtp'],
    [35, 'rtcp'],
    [5, 'plain'],
    [8, 'probe'],
    [6, 'stun'],
    [6, 'dtls'],
  ]);
  const packets = Array.from({ length: random.whole(1, 4) }, () => {
    const good = goodPacket(random, kind);
    // Extensions and padding are parsed by lengths that stand in the packet.
    if (kind === 'rtp' && random.chance(0.3)) good[0] = random.of([0x90, 0xa0, 0xbf, 0x8f]);
    return (random.chance(0.2) ? good : mutateBytes(random, good)).toString('hex');
  });
  return { kind, packets, headerLength: random.of([12, 12, 12, 16, 20]) };
}

class MediaFace implements Face<PacketInput> {
  readonly #target: Target;
  readonly #client: SfuClient;
  readonly #probeKey = randomBytes(32);
  readonly #srtpKey = randomBytes(44).toString('base64');
  #socket = createSocket('udp4');
  #probes = createSocket('udp4');
  #srtp = new SrtpSender(this.#srtpKey);
  #linkId = '';
  #port = 0;
  #peerKey = Buffer.alloc(32);
  #sent = 0;

  constructor(target: Target, client: SfuClient) {
    this.#target = target;
    this.#client = client;
  }

  make(random: Random): PacketInput {
    return packetInput(random);
  }

  async send({ kind, packets, headerLength }: PacketInput): Promise<Answered> {
    const { address, webRtcPort, probePort } = this.#target.place.sfu;
    for (const hex of packets) {
      const packet = Buffer.from(hex, 'hex');
      if (kind === 'rtp') this.#to(this.#srtp.rtp(packet, headerLength), this.#port);
      else if (kind === 'rtcp') this.#to(this.#srtp.rtcp(packet), this.#port);
      else if (kind === 'plain') this.#to(packet, this.#port);
      else if (kind === 'probe')
        this.#to(Buffer.concat([this.#probe().subarray(0, 80 - packet.length), packet]), probePort);
      else this.#to(packet, webRtcPort);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    this.#sent += 1;
    if (this.#sent % ASK_EVERY !== 0) return { kind: `${kind} to ${address}` };
    // A worker that has died takes its conferences along.
    try {
      const { links } = await this.#client.request('stats', {});
      if (links.some(({ linkId }) => linkId === this.#linkId)) return { kind: 'link is there' };
      return { kind: 'link is lost', fault: 'The link is gone.' };
    } catch (error) {
      return { kind: 'no answer', fault: String(error) };
    }
  }

  async mend(): Promise<void> {
    const request: SfuClient['request'] = (method, params) => this.#client.request(method, params);
    await request('conference.close', { conferenceId: CONFERENCE });
    const { rtpCapabilities } = await request('conference.open', { conferenceId: CONFERENCE });
    for (const socket of [this.#socket, this.#probes]) socket.removeAllListeners().close();
    this.#socket = createSocket('udp4');
    this.#probes = createSocket('udp4');
    for (const socket of [this.#socket, this.#probes]) {
      socket.on('error', () => undefined);
      socket.bind(0, ADDRESS);
      await once(socket, 'listening');
    }
    this.#srtp = new SrtpSender(this.#srtpKey);
    this.#linkId = randomUUID();
    const half = await request('link.create', { conferenceId: CONFERENCE, linkId: this.#linkId, peer: 'peer.example' });
    this.#port = half.port;
    this.#peerKey = Buffer.from(half.probeKey, 'base64');
    this.#probes.on('message', (packet, from) => {
      const probe = readProbe(packet);
      if (probe?.type !== 'question') return;
      this.#probes.send(writeProbe({ ...probe, type: 'answer' }, this.#probeKey), from.port, from.address);
    });
    await request('link.connect', {
      linkId: this.#linkId,
      address: ADDRESS,
      port: this.#socket.address().port,
      probePort: this.#probes.address().port,
      srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: this.#srtpKey },
      probeKey: this.#probeKey.toString('base64'),
    });
    const viewer = await request('transport.create', {
      conferenceId: CONFERENCE,
      participantId: 'viewer',
      direction: 'receive',
    });
    for (const [source, kind, rtpParameters] of [
      ['microphone', 'audio', MICROPHONE],
      ['camera', 'video', CAMERA],
    ] as const) {
      const { producerId } = await request('link.receive', {
        linkId: this.#linkId,
        participantId: 'far',
        source,
        remoteId: randomUUID(),
        kind,
        rtpParameters,
        paused: false,
      });
      await request('consumer.create', { transportId: viewer.id, producerId, rtpCapabilities });
    }
  }

  close(): Promise<void> {
    this.#client.close();
    for (const socket of [this.#socket, this.#probes]) {
      try {
        socket.close();
      } catch {
        // It is closed already.
      }
    }
    return Promise.resolve();
  }

  #to(packet: Buffer, port: number): void {
    if (packet.length > 0) this.#socket.send(packet, port, this.#target.place.sfu.address, () => undefined);
  }

  #probe(): Buffer {
    const type = this.#sent % 2 === 0 ? 'question' : 'answer';
    const nonce = randomBytes(16).toString('hex');
    return writeProbe({ type, tag: linkTag(this.#linkId), sequence: BigInt(this.#sent), nonce }, this.#peerKey);
  }
}

export async function mediaFace(target: Target): Promise<Face<PacketInput>> {
  const client = connect(target.place.control);
  await eventually(() => client.hello !== undefined);
  const face = new MediaFace(target, client);
  await face.mend();
  return face;
}
