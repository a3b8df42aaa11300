/** SFUs of the specs: the real thing on loopback addresses, with the real control line and RTP by hand. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlainTransport } from 'mediasoup/types';
import { pino } from 'pino';
import { workerBinary } from '../../deploy/worker/build.mjs';
import type { RtpParameters, Source } from '../../protocol/media.ts';
import type { ClientTransport } from '../../sfu/transports.ts';
import { SfuClient } from '../../sfu/client.ts';
import type { SfuConfig } from '../../sfu/config.ts';
import { produce } from '../../sfu/producers.ts';
import type { SfuNotificationData, SfuNotificationName } from '../../sfu/protocol.ts';
import { startSfu, type RunningSfu } from '../../sfu/server.ts';
import { BLOCK_PORTS, portBlock } from '../support/ports.ts';
import { vp8Payload, writeRtp, type RtpEndpoint } from '../worker/rtp.ts';

/** Building the worker takes some minutes, in milliseconds. */
export const BUILD_TIMEOUT = 1_200_000;
export const SECRET = 'a secret of the specs of the SFU';

let base: Promise<number> | undefined;

/** The first of a hundred ports that nobody uses, the same for all specs of this process. */
export function basePort(): Promise<number> {
  return (base ??= portBlock());
}

export async function workerBin(): Promise<string> {
  return (
    process.env.HANSETAG_SFU_WORKER_BIN ??
    (await workerBinary({ mediasoupDir: join(import.meta.dirname, '../../node_modules/mediasoup') }))
  );
}

type Notification = { [N in SfuNotificationName]: { name: N; data: SfuNotificationData<N> } }[SfuNotificationName];
const RECORDED = [
  'conference.lost',
  'transport.state',
  'producer.closed',
  'consumer.closed',
  'speaking',
  'link.state',
] as const satisfies readonly SfuNotificationName[];
type Data<N extends SfuNotificationName> = SfuNotificationData<N>;

/** An SFU with a homeserver's end of its control line. */
export class Instance {
  readonly config: SfuConfig;
  readonly running: RunningSfu;
  readonly client: SfuClient;
  readonly notifications: Notification[] = [];
  readonly #folder: string;

  private constructor(config: SfuConfig, running: RunningSfu, client: SfuClient, folder: string) {
    this.config = config;
    this.running = running;
    this.client = client;
    this.#folder = folder;
    for (const name of RECORDED) this.#record(name);
  }

  static async start(
    listenIp: string,
    { workers = 1, orphanGraceMs }: { workers?: number; orphanGraceMs?: number } = {},
  ): Promise<Instance> {
    const folder = mkdtempSync(join(tmpdir(), 'hansetag-sfu-'));
    const path = join(folder, 'control.sock');
    const first = await basePort();
    const config: SfuConfig = {
      control: { path },
      secret: SECRET,
      listenIp,
      announcedAddress: undefined,
      clientIps: [],
      webRtcPort: first,
      probePort: first + 10,
      linkPorts: { min: first + 20, max: first + BLOCK_PORTS - 1 },
      workers,
      workerBin: await workerBin(),
      logLevel: 'silent',
    };
    const running = await startSfu(config, silent, { orphanGraceMs });
    const instance = new Instance(config, running, connect(path), folder);
    await instance.connected();
    return instance;
  }

  get controlPath(): string {
    return 'path' in this.config.control ? this.config.control.path : '';
  }

  async connected(): Promise<void> {
    await eventually(() => this.client.hello !== undefined);
  }

  told<N extends SfuNotificationName>(name: N): Data<N>[] {
    return this.notifications.flatMap((each) => (each.name === name ? [each.data as Data<N>] : []));
  }

  /** Waits until something was told that matches. */
  async hears<N extends SfuNotificationName>(
    name: N,
    matches: (data: Data<N>) => boolean = () => true,
  ): Promise<Data<N>> {
    let found: Data<N> | undefined;
    await eventually(() => (found = this.told(name).find(matches)) !== undefined, `notification ${name}`);
    if (!found) throw new Error('unreachable');
    return found;
  }

  async close(): Promise<void> {
    this.client.close();
    await this.running.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #record<N extends SfuNotificationName>(name: N): void {
    this.client.on(name, (data) => this.notifications.push({ name, data } as Notification));
  }
}

export const silent = pino({ level: 'silent' });

export function connect(socketPath: string, secret = SECRET): SfuClient {
  return new SfuClient({ socketPath, secret, log: silent });
}

/** Waits until the condition holds; rejects after eight seconds. */
export async function eventually(condition: () => boolean | Promise<boolean>, what = 'condition'): Promise<void> {
  const end = Date.now() + 8000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const MICROPHONE: RtpParameters = {
  codecs: [{ mimeType: 'audio/opus', payloadType: 111, clockRate: 48000, channels: 2 }],
  headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', id: 1 }],
  encodings: [{ ssrc: 4711 }],
};

export const CAMERA: RtpParameters = {
  codecs: [
    {
      mimeType: 'video/VP8',
      payloadType: 96,
      clockRate: 90000,
      rtcpFeedback: [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }],
    },
    { mimeType: 'video/rtx', payloadType: 97, clockRate: 90000, parameters: { apt: 96 } },
  ],
  encodings: [
    { ssrc: 5001, rtx: { ssrc: 6001 }, scalabilityMode: 'L1T3' },
    { ssrc: 5002, rtx: { ssrc: 6002 }, scalabilityMode: 'L1T3' },
  ],
};

/** What a participant's browser would send, sent by RTP without encryption: the only part that is not a browser's. */
export class PlainSource {
  readonly producerId: string;
  readonly #transport: PlainTransport;
  readonly #endpoint: RtpEndpoint;
  #sequenceNumber = 1000;

  private constructor(producerId: string, transport: PlainTransport, endpoint: RtpEndpoint) {
    this.producerId = producerId;
    this.#transport = transport;
    this.#endpoint = endpoint;
  }

  static async open(
    instance: Instance,
    options: { conferenceId: string; participantId: string; source: Source; endpoint: RtpEndpoint },
  ): Promise<PlainSource> {
    const { conferenceId, participantId, source, endpoint } = options;
    const conference = instance.running.sfu.conference(conferenceId);
    const transport = await conference.router.createPlainTransport({
      listenInfo: { protocol: 'udp', ip: '127.0.0.1' },
      rtcpMux: true,
      comedia: true,
    });
    const producer = await produce(conference, {
      transport,
      labels: { participantId, source, transportId: transport.id },
      rtpParameters: source === 'microphone' ? MICROPHONE : CAMERA,
      paused: false,
    });
    return new PlainSource(producer.id, transport, endpoint);
  }

  /** Sends one packet of speech at full loudness. */
  speak(payload: Buffer): void {
    this.#sequenceNumber += 1;
    const packet = writeRtp({
      payloadType: 111,
      sequenceNumber: this.#sequenceNumber,
      timestamp: 960 * this.#sequenceNumber,
      ssrc: 4711,
      payload,
    });
    this.#send(packet, payload);
  }

  /** Sends one frame of a camera in its lowest layer. */
  show(keyFrame: boolean): void {
    this.#sequenceNumber += 1;
    const payload = vp8Payload({
      pictureId: this.#sequenceNumber & 0x7fff,
      tl0PictureIndex: this.#sequenceNumber & 0xff,
      keyFrame,
    });
    const packet = writeRtp({
      payloadType: 96,
      sequenceNumber: this.#sequenceNumber,
      timestamp: 3000 * this.#sequenceNumber,
      ssrc: 5001,
      payload,
    });
    this.#endpoint.send(packet, this.#transport.tuple);
  }

  #send(packet: Buffer, payload: Buffer): void {
    // One extension of one byte (RFC 8285 section 4.2): voice at -10 dBov (RFC 6464 section 3).
    const extension = Buffer.from([0xbe, 0xde, 0, 1, 0x10, 0x80 | 10, 0, 0]);
    packet[0] = 0x90;
    this.#endpoint.send(Buffer.concat([packet.subarray(0, 12), extension, payload]), this.#transport.tuple);
  }
}

/**
 * A transport over which a participant receives by RTP without encryption. The SFU takes it for a client's, so that the
 * control protocol makes its consumers. @returns its id
 */
export async function openReceiver(
  instance: Instance,
  { conferenceId, participantId, endpoint }: { conferenceId: string; participantId: string; endpoint: RtpEndpoint },
): Promise<string> {
  const conference = instance.running.sfu.conference(conferenceId);
  const transport = await conference.router.createPlainTransport({
    listenInfo: { protocol: 'udp', ip: '127.0.0.1' },
    rtcpMux: true,
  });
  await transport.connect(endpoint.address);
  const { id } = transport;
  const close = (): void => {
    conference.transports.delete(id);
    transport.close();
  };
  const client = { id, participantId, direction: 'receive', transport, close };
  conference.transports.set(id, client as unknown as ClientTransport);
  return id;
}

/** Receives a producer of the conference as a viewer's transport would, without encryption. */
export async function openViewer(
  instance: Instance,
  { conferenceId, producerId, endpoint }: { conferenceId: string; producerId: string; endpoint: RtpEndpoint },
): Promise<void> {
  const { router } = instance.running.sfu.conference(conferenceId);
  const transport = await router.createPlainTransport({
    listenInfo: { protocol: 'udp', ip: '127.0.0.1' },
    rtcpMux: true,
  });
  await transport.connect(endpoint.address);
  await transport.consume({ producerId, rtpCapabilities: router.rtpCapabilities });
}

/** Opens a link between two SFUs as two homeservers do. @returns its id */
export async function openLink(one: Instance, other: Instance, conferenceId: string): Promise<string> {
  const linkId = randomUUID();
  const create = (instance: Instance, peer: string) =>
    instance.client.request('link.create', { conferenceId, linkId, peer });
  const [halfOfOne, halfOfOther] = [await create(one, 'other.example'), await create(other, 'one.example')];
  const join = (instance: Instance, peer: Instance, half: typeof halfOfOne) =>
    instance.client.request('link.connect', {
      linkId,
      address: peer.config.listenIp,
      probePort: peer.config.probePort,
      ...half,
    });
  await Promise.all([join(one, other, halfOfOther), join(other, one, halfOfOne)]);
  return linkId;
}
