/**
 * CPU time of the media workers per forwarded packet: `node spec/bench/sfu.ts [rounds] [seconds per measurement]`.
 *
 * Four cases in each round, one after the other, so that a busy machine hits all alike: bare mediasoup with local
 * consumers, our SFU with local consumers, bare mediasoup across a pipe with SRTP and RTX, our SFUs across a link.
 * The figure is the workers' own CPU time (getrusage) by the packets that reached consumers; the median of the
 * rounds counts. Sender and receiver are outside of the workers and not in it. The last line is JSON.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { availableParallelism, cpus } from 'node:os';
import { createWorker } from 'mediasoup';
import type { Consumer, PipeTransport, PlainTransport, Producer, Router, Worker } from 'mediasoup/types';
import type { RtpParameters } from '../../protocol/media.ts';
import { ROUTER_CODECS, toMediasoup } from '../../sfu/codecs.ts';
import { produce } from '../../sfu/producers.ts';
import { Instance, openLink, workerBin } from '../sfu/support.ts';
import { vp8Payload, writeRtp } from '../worker/rtp.ts';

const ROUNDS = Number(process.argv[2] ?? 7);
const SECONDS = Number(process.argv[3] ?? 3);
const PACKETS_PER_SECOND = 1500;
const VIEWERS = 4;
const PACKET_BYTES = 1100;
const WARM_UP_MS = 300;
const MAX_ATTEMPTS = 10;
const SSRC = 4711;
/** Of links, bare and ours: sending from an address to another costs the kernel more than within 127.0.0.1. */
const NEAR_IP = '127.0.0.3';
const FAR_IP = '127.0.0.4';
const CONFERENCE = '!bench:luebeck.example';
const PARTICIPANT = '@bert:luebeck.example/device';

const video: RtpParameters = {
  codecs: [
    {
      mimeType: 'video/VP8',
      payloadType: 96,
      clockRate: 90000,
      rtcpFeedback: [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }],
    },
    { mimeType: 'video/rtx', payloadType: 97, clockRate: 90000, parameters: { apt: 96 } },
  ],
  encodings: [{ ssrc: SSRC, rtx: { ssrc: SSRC + 1 } }],
};

/** What the measured workers did meanwhile. */
interface Measure {
  /** Microseconds of all workers per packet that reached a viewer. */
  readonly perPacket: number;
  /** Microseconds of each worker per packet that it sent. */
  readonly hops: number[];
  readonly delivered: number;
}

/** Each source counts its own packets: gaps like those between the cases would be a broken stream for SRTP. */
interface Source {
  readonly transport: PlainTransport;
  sequenceNumber: number;
}

interface Case {
  readonly name: string;
  readonly source: Source;
  /** The worker of each hop, and what it sends. */
  readonly hops: { readonly worker: Worker; readonly consumers: Consumer[] }[];
  close(): Promise<void> | void;
}

async function main(): Promise<void> {
  const sink = await openSocket();
  const sender = await openSocket();
  const bin = await workerBin();
  const cases = [await bareLocal(bin, sink), await sfuLocal(sink), await bareLink(bin, sink), await sfuLink(sink)];
  const measures = new Map<string, Measure[]>(cases.map(({ name }) => [name, []]));
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      // Another first case in each round, so that none has always the same neighbour.
      for (let i = 0; i < cases.length; i += 1) {
        const each = cases[(round + i) % cases.length];
        if (!each) continue;
        const measure = await measureInPeace(each, sender);
        measures.get(each.name)?.push(measure);
        process.stderr.write(
          `round ${round + 1}/${ROUNDS} ${each.name.padEnd(10)} ${measure.perPacket.toFixed(2)} us per packet, ` +
            `hops ${measure.hops.map((hop) => hop.toFixed(2)).join(' + ')}, ${measure.delivered} packets\n`,
        );
      }
    }
  } finally {
    for (const each of cases) await each.close();
    sink.close();
    sender.close();
  }
  report(measures);
}

function report(measures: Map<string, Measure[]>): void {
  const figure = (name: string, pick: (measure: Measure) => number): number =>
    round(median((measures.get(name) ?? []).map(pick)));
  const total = (name: string): number => figure(name, ({ perPacket }) => perPacket);
  const hops = (name: string): number[] => [0, 1].map((hop) => figure(name, (measure) => measure.hops[hop] ?? 0));
  /** The median of the ratios within a round, where both had the same machine. */
  const ratio = (ours: string, bare: string): number => {
    const others = measures.get(bare) ?? [];
    return round(
      median((measures.get(ours) ?? []).map(({ perPacket }, i) => perPacket / (others[i]?.perPacket ?? NaN))),
    );
  };
  const result = {
    bench: 'sfu',
    rounds: ROUNDS,
    seconds: SECONDS,
    viewers: VIEWERS,
    packets_per_second: PACKETS_PER_SECOND,
    packet_bytes: PACKET_BYTES,
    cpu: cpus()[0]?.model ?? '',
    cores: availableParallelism(),
    baseline_local_us_per_packet: total('bare-local'),
    sfu_local_us_per_packet: total('sfu-local'),
    sfu_local_ratio: ratio('sfu-local', 'bare-local'),
    baseline_link_us_per_packet: total('bare-link'),
    baseline_link_hops_us_per_packet: hops('bare-link'),
    sfu_link_us_per_packet: total('sfu-link'),
    sfu_link_hops_us_per_packet: hops('sfu-link'),
    sfu_link_ratio: ratio('sfu-link', 'bare-link'),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** A machine so busy that packets get lost measures something else: then once more. */
async function measureInPeace(each: Case, sender: Socket): Promise<Measure> {
  const expected = PACKETS_PER_SECOND * SECONDS * VIEWERS;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const measure = await measureCase(each, sender);
    if (measure.delivered >= 0.99 * expected) return measure;
    process.stderr.write(`${each.name}: only ${measure.delivered} of ${expected} packets came through, once more\n`);
  }
  throw new Error('the machine is too busy to measure');
}

async function measureCase({ source, hops }: Case, sender: Socket): Promise<Measure> {
  await sendFor(sender, source, WARM_UP_MS);
  const before = await Promise.all(hops.map(usage));
  await sendFor(sender, source, SECONDS * 1000);
  const after = await Promise.all(hops.map(usage));
  const spent = after.map(({ cpuUs }, i) => cpuUs - (before[i]?.cpuUs ?? 0));
  const packets = after.map((hop, i) => hop.packets - (before[i]?.packets ?? 0));
  const delivered = packets.at(-1) ?? 0;
  return {
    perPacket: spent.reduce((sum, us) => sum + us, 0) / delivered,
    hops: spent.map((us, i) => us / (packets[i] ?? NaN)),
    delivered,
  };
}

async function usage({ worker, consumers }: Case['hops'][number]): Promise<{ cpuUs: number; packets: number }> {
  let packets = 0;
  for (const consumer of consumers) {
    const stats = await consumer.getStats();
    packets += stats.reduce((sum, stat) => sum + (stat.type === 'outbound-rtp' ? stat.packetCount : 0), 0);
  }
  const { ru_utime, ru_stime } = await worker.getResourceUsage();
  return { cpuUs: 1000 * (ru_utime + ru_stime), packets };
}

/** Sends at an even rate: what is due since the beginning, every millisecond or later. */
async function sendFor(sender: Socket, source: Source, ms: number): Promise<void> {
  const { localAddress, localPort } = source.transport.tuple;
  const start = performance.now();
  const count = Math.round((ms * PACKETS_PER_SECOND) / 1000);
  for (let sent = 0; sent < count;) {
    const due = Math.min(count, Math.ceil(((performance.now() - start) * PACKETS_PER_SECOND) / 1000));
    for (; sent < due; sent += 1) sender.send(nextPacket(source), localPort, localAddress);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}

function nextPacket(source: Source): Buffer {
  source.sequenceNumber = (source.sequenceNumber + 1) & 0xffff;
  const { sequenceNumber } = source;
  const frame = { pictureId: sequenceNumber & 0x7fff, tl0PictureIndex: sequenceNumber & 0xff, keyFrame: true };
  const head = vp8Payload(frame);
  return writeRtp({
    payloadType: 96,
    sequenceNumber,
    timestamp: (3000 * sequenceNumber) >>> 0,
    ssrc: SSRC,
    payload: Buffer.concat([head, Buffer.alloc(PACKET_BYTES - head.length - 12)]),
  });
}

// ---- the four cases ----

async function bareLocal(workerBin: string, sink: Socket): Promise<Case> {
  const { worker, router } = await bareRouter(workerBin);
  const source = await openSource(router);
  const producer = await source.transport.produce({ kind: 'video', rtpParameters: toMediasoup(video) });
  const consumers = await openViewers(router, producer.id, sink);
  return { name: 'bare-local', source, hops: [{ worker, consumers }], close: () => worker.close() };
}

async function sfuLocal(sink: Socket): Promise<Case> {
  const instance = await Instance.start('127.0.0.2');
  await instance.client.request('conference.open', { conferenceId: CONFERENCE });
  const { source, producer, router, worker } = await sfuSource(instance);
  const consumers = await openViewers(router, producer.id, sink);
  return { name: 'sfu-local', source, hops: [{ worker, consumers }], close: () => instance.close() };
}

async function bareLink(workerBin: string, sink: Socket): Promise<Case> {
  const [near, far] = [await bareRouter(workerBin), await bareRouter(workerBin)];
  const source = await openSource(near.router);
  const producer = await source.transport.produce({ kind: 'video', rtpParameters: toMediasoup(video) });
  const [here, there] = [await openPipe(near.router, NEAR_IP), await openPipe(far.router, FAR_IP)];
  await here.connect(addressOf(there));
  await there.connect(addressOf(here));
  const piped = await here.consume({ producerId: producer.id });
  const { id } = await there.produce({ kind: 'video', rtpParameters: piped.rtpParameters });
  return {
    name: 'bare-link',
    source,
    hops: [
      { worker: near.worker, consumers: [piped] },
      { worker: far.worker, consumers: await openViewers(far.router, id, sink) },
    ],
    close: () => {
      near.worker.close();
      far.worker.close();
    },
  };
}

async function sfuLink(sink: Socket): Promise<Case> {
  const [near, far] = [await Instance.start(NEAR_IP), await Instance.start(FAR_IP)];
  for (const { client } of [near, far]) await client.request('conference.open', { conferenceId: CONFERENCE });
  const sent: Consumer[] = [];
  near.running.sfu.conference(CONFERENCE).router.observer.on('newtransport', (transport) => {
    if (transport.type === 'pipe') transport.observer.on('newconsumer', (consumer) => sent.push(consumer));
  });
  const linkId = await openLink(near, far, CONFERENCE);
  const { source, producer, worker } = await sfuSource(near);
  const { rtpParameters, kind, paused } = await near.client.request('link.send', { linkId, producerId: producer.id });
  const { producerId } = await far.client.request('link.receive', {
    linkId,
    participantId: PARTICIPANT,
    source: 'camera',
    remoteId: producer.id,
    rtpParameters,
    kind,
    paused,
  });
  const { router, worker: farWorker } = far.running.sfu.conference(CONFERENCE);
  return {
    name: 'sfu-link',
    source,
    hops: [
      { worker, consumers: sent },
      { worker: farWorker.worker, consumers: await openViewers(router, producerId, sink) },
    ],
    close: async () => {
      await near.close();
      await far.close();
    },
  };
}

// ---- their parts ----

const loopback = { protocol: 'udp', ip: '127.0.0.1' } as const;

async function bareRouter(workerBin: string): Promise<{ worker: Worker; router: Router }> {
  const worker = await createWorker({ workerBin, logLevel: 'error' });
  return { worker, router: await worker.createRouter({ mediaCodecs: ROUTER_CODECS }) };
}

async function openSource(router: Router): Promise<Source> {
  const transport = await router.createPlainTransport({ listenInfo: loopback, rtcpMux: true, comedia: true });
  return { transport, sequenceNumber: 0 };
}

/** The participant's source in a conference of ours, made as the SFU makes it. */
async function sfuSource(
  instance: Instance,
): Promise<{ source: Source; producer: Producer; router: Router; worker: Worker }> {
  const conference = instance.running.sfu.conference(CONFERENCE);
  const { router } = conference;
  const source = await openSource(router);
  const producer = await produce(conference, {
    transport: source.transport,
    labels: { participantId: PARTICIPANT, source: 'camera', transportId: source.transport.id },
    rtpParameters: video,
    paused: false,
  });
  return { source, producer, router, worker: conference.worker.worker };
}

async function openViewers(router: Router, producerId: string, sink: Socket): Promise<Consumer[]> {
  const consumers: Consumer[] = [];
  for (let i = 0; i < VIEWERS; i += 1) {
    const transport = await router.createPlainTransport({ listenInfo: loopback, rtcpMux: true });
    const { address, port } = sink.address();
    await transport.connect({ ip: address, port });
    consumers.push(await transport.consume({ producerId, rtpCapabilities: router.rtpCapabilities }));
  }
  return consumers;
}

function openPipe(router: Router, ip: string): Promise<PipeTransport> {
  return router.createPipeTransport({ listenInfo: { protocol: 'udp', ip }, enableSrtp: true, enableRtx: true });
}

function addressOf({ tuple, srtpParameters }: PipeTransport) {
  return { ip: tuple.localAddress, port: tuple.localPort, srtpParameters };
}

async function openSocket(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4_194_304 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
}

function round(value: number): number {
  return Math.round(100 * value) / 100;
}

await main();
