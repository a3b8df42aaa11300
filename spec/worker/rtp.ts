/** RTP and RTCP by hand, and UDP sockets that wait for what they receive: the far end of the worker's transports. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface RtpPacket {
  payloadType: number;
  sequenceNumber: number;
  /** In units of the codec's clock. */
  timestamp: number;
  ssrc: number;
  payload: Buffer;
}

/** An RTP packet without extensions (RFC 3550 section 5.1). */
export function writeRtp(packet: RtpPacket): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = packet.payloadType;
  header.writeUInt16BE(packet.sequenceNumber, 2);
  header.writeUInt32BE(packet.timestamp, 4);
  header.writeUInt32BE(packet.ssrc, 8);
  return Buffer.concat([header, packet.payload]);
}

/** Reads an RTP packet, or returns undefined if it is RTCP (RFC 5761 section 4) or too short. */
export function readRtp(datagram: Buffer): RtpPacket | undefined {
  if (datagram.length < 12) {
    return undefined;
  }
  const second = datagram.readUInt8(1);
  if (second >= 192 && second <= 223) {
    return undefined;
  }
  const first = datagram.readUInt8(0);
  let offset = 12 + 4 * (first & 0x0f);
  if ((first & 0x10) !== 0) {
    offset += 4 + 4 * datagram.readUInt16BE(offset + 2);
  }
  const padding = (first & 0x20) !== 0 ? datagram.readUInt8(datagram.length - 1) : 0;
  return {
    payloadType: second & 0x7f,
    sequenceNumber: datagram.readUInt16BE(2),
    timestamp: datagram.readUInt32BE(4),
    ssrc: datagram.readUInt32BE(8),
    payload: datagram.subarray(offset, datagram.length - padding),
  };
}

/** A generic NACK for packets of one stream, an item for each (RFC 4585 section 6.2.1). */
export function writeNack(mediaSsrc: number, sequenceNumbers: readonly number[]): Buffer {
  const nack = Buffer.alloc(12 + 4 * sequenceNumbers.length);
  nack[0] = 0x81;
  nack[1] = 205;
  nack.writeUInt16BE(2 + sequenceNumbers.length, 2);
  nack.writeUInt32BE(1, 4);
  nack.writeUInt32BE(mediaSsrc, 8);
  sequenceNumbers.forEach((sequenceNumber, i) => nack.writeUInt16BE(sequenceNumber, 12 + 4 * i));
  return nack;
}

/** A VP8 frame in one packet, of temporal layer 0, with a two-byte picture id (RFC 7741 section 4.2). */
export function vp8Payload(frame: { pictureId: number; tl0PictureIndex: number; keyFrame: boolean }): Buffer {
  const descriptor = Buffer.from([0x90, 0xe0, 0, 0, frame.tl0PictureIndex, 0]);
  descriptor.writeUInt16BE(0x8000 | frame.pictureId, 2);
  // The lowest bit of the first byte of the frame is 0 in a key frame.
  return Buffer.concat([descriptor, Buffer.from([frame.keyFrame ? 0 : 1]), Buffer.alloc(40, frame.pictureId & 0xff)]);
}

/** A UDP socket on the loopback interface that keeps the RTP packets it receives. */
export class RtpEndpoint {
  readonly received: RtpPacket[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (datagram) => {
      const packet = readRtp(datagram);
      if (packet !== undefined) {
        this.received.push(packet);
        socket.emit('rtp');
      }
    });
  }

  static async open(): Promise<RtpEndpoint> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new RtpEndpoint(socket);
  }

  get address(): { ip: string; port: number } {
    const { address, port } = this.#socket.address();
    return { ip: address, port };
  }

  send(datagram: Buffer, to: { localAddress: string; localPort: number }): void {
    this.#socket.send(datagram, to.localPort, to.localAddress);
  }

  /** Waits until `count` packets that `matches` have arrived, and returns them. Rejects after two seconds. */
  async receive(count: number, matches: (packet: RtpPacket) => boolean = () => true): Promise<RtpPacket[]> {
    const signal = AbortSignal.timeout(2000);
    for (;;) {
      const packets = this.received.filter(matches);
      if (packets.length >= count) {
        return packets;
      }
      await once(this.#socket, 'rtp', { signal });
    }
  }

  close(): void {
    this.#socket.close();
  }
}
