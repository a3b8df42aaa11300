/**
 * Our half of a link: a pipe with SRTP and RTX to the SFU of another organisation, and the watch over it.
 *
 * A pipe has neither ICE nor consent: it would send to whatever address it is given. So the peer's address must have
 * answered a keyed probe before the pipe is connected, and when the answers end, so does sending (the thought of
 * RFC 7675, with our probe as the check).
 */
import { randomBytes } from 'node:crypto';
import type { Consumer, PipeTransport } from 'mediasoup/types';
import { srtpParametersSchema } from '../protocol/media.ts';
import { fromMediasoup } from './codecs.ts';
import { SfuError } from './errors.ts';
import type { ConferenceHost, HeldProducer } from './host.ts';
import { linkState, type LinkState } from './link-health.ts';
import { resolvePeer } from './peer-address.ts';
import { PROBE_KEY_SIZE } from './probe-packet.ts';
import type { Asking } from './prober.ts';
import { produce } from './producers.ts';
import type { SfuParams, SfuResult } from './protocol.ts';

const FIRST_PROBE_EVERY_MS = 200;
const FIRST_PROBE_WITHIN_MS = 5000;
const PROBE_EVERY_MS = 1000;
/** So long without an answer nothing is sent any more, in milliseconds. */
const CONSENT_MS = 10_000;
/** How often figures are told while the state stays the same, in milliseconds. */
const TELL_EVERY_MS = 5000;

/** A conference, as its links see it. */
export interface LinkHost extends ConferenceHost {
  readonly links: Map<string, Link>;
  /** Everything received, from our own participants and over links, by producer id. */
  readonly producers: ReadonlyMap<string, HeldProducer>;
}

export interface LinkStats {
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export class Link {
  readonly id: string;
  readonly peer: string;
  readonly #conference: LinkHost;
  readonly #transport: PipeTransport;
  /** By producer id. A promise, so that two requests at once make one consumer. */
  readonly #sending = new Map<string, Promise<Consumer>>();
  readonly #probeKey = randomBytes(PROBE_KEY_SIZE);
  readonly #closing = new AbortController();
  #asking: Asking | undefined;
  #connecting = false;
  #connected = false;
  #consent = true;
  #watch: NodeJS.Timeout | undefined;
  #state: LinkState = 'connecting';
  #toldAt = 0;
  #bytesReceived = 0;
  #mediaAt = -Infinity;
  #expectingSince: number | undefined;

  private constructor(conference: LinkHost, id: string, peer: string, transport: PipeTransport) {
    this.#conference = conference;
    this.id = id;
    this.peer = peer;
    this.#transport = transport;
  }

  /** Makes our half. It answers the peer's probes from now on, and sends nothing before `connect`. */
  static async open(conference: LinkHost, { linkId, peer }: SfuParams<'link.create'>): Promise<Link> {
    const { config, prober } = conference.context;
    const transport = await conference.router.createPipeTransport({
      listenInfo: { protocol: 'udp', ip: config.listenIp, portRange: { ...config.linkPorts } },
      enableSrtp: true,
      enableRtx: true,
    });
    if (conference.ended) throw new SfuError('not-found', 'the conference has ended');
    const link = new Link(conference, linkId, peer, transport);
    conference.links.set(linkId, link);
    prober.add(linkId, link.#probeKey);
    return link;
  }

  get half(): SfuResult<'link.create'> {
    return {
      port: this.#transport.tuple.localPort,
      srtp: srtpParametersSchema.parse(this.#transport.srtpParameters),
      probeKey: this.#probeKey.toString('base64'),
    };
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Ids of the producers that are sent. */
  get sending(): string[] {
    return [...this.#sending.keys()];
  }

  get roundTripMs(): number | undefined {
    return this.#asking?.window.roundTripMs;
  }

  get loss(): number | undefined {
    return this.#asking?.window.loss(performance.now());
  }

  /** @throws SfuError conflict if connected before, bad-request for an address or key, not-found if it is silent */
  async connect(params: SfuParams<'link.connect'>): Promise<void> {
    if (this.#connecting || this.#connected) throw new SfuError('conflict', 'the link was connected before');
    const key = Buffer.from(params.probeKey, 'base64');
    if (key.length !== PROBE_KEY_SIZE) throw new SfuError('bad-request', 'the probe key has the wrong size');
    this.#connecting = true;
    try {
      const ip = await resolvePeer(params.address);
      if (this.#closing.signal.aborted) throw new SfuError('not-found', 'the link was closed');
      this.#tell('connecting');
      const asking = this.#conference.context.prober.asking(this.id, { ip, port: params.probePort, key });
      const proven = await asking.proven(FIRST_PROBE_EVERY_MS, FIRST_PROBE_WITHIN_MS, this.#closing.signal);
      if (this.#closing.signal.aborted) throw new SfuError('not-found', 'the link was closed');
      if (!proven) throw new SfuError('not-found', 'the address of the peer does not answer our probes');
      await this.#transport.connect({ ip, port: params.port, srtpParameters: params.srtp });
      if (this.#closing.signal.aborted) throw new SfuError('not-found', 'the link was closed');
      this.#asking = asking;
      this.#connected = true;
      this.#tell('connected');
      this.#watch = setInterval(() => {
        // What cannot be looked at now is looked at again with the next question.
        this.#look(asking).catch(() => undefined);
      }, PROBE_EVERY_MS);
    } finally {
      this.#connecting = false;
    }
  }

  /**
   * Sends a producer of a participant of ours.
   * @throws SfuError bad-request for what came over a link: a source crosses one link, so that there are no loops
   */
  async send(producerId: string): Promise<SfuResult<'link.send'>> {
    const held = this.#conference.producer(producerId);
    if (held.linkId !== undefined) throw new SfuError('bad-request', 'what comes over a link is not sent on');
    if (!this.#consent) throw new SfuError('conflict', 'the peer does not answer');
    const consumer = await (this.#sending.get(producerId) ?? this.#consume(producerId));
    return {
      kind: consumer.kind,
      rtpParameters: fromMediasoup(consumer.rtpParameters),
      paused: consumer.producerPaused,
    };
  }

  async unsend(producerId: string): Promise<void> {
    const pending = this.#sending.get(producerId);
    this.#sending.delete(producerId);
    const consumer = await pending?.catch(() => undefined);
    consumer?.close();
  }

  /** Receives a source of the peer as a producer with an id of our own. */
  async receive(params: SfuParams<'link.receive'>): Promise<SfuResult<'link.receive'>> {
    const { participantId, source, remoteId, rtpParameters, paused } = params;
    const producer = await produce(this.#conference, {
      transport: this.#transport,
      labels: { participantId, source, linkId: this.id, remoteId },
      rtpParameters,
      paused,
    });
    return { producerId: producer.id };
  }

  async stats(): Promise<LinkStats> {
    const [stat] = await this.#transport.getStats();
    return { bytesSent: stat?.bytesSent ?? 0, bytesReceived: stat?.bytesReceived ?? 0 };
  }

  get receiving(): number {
    return this.#received().length;
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    clearInterval(this.#watch);
    this.#conference.context.prober.remove(this.id);
    this.#conference.links.delete(this.id);
    this.#connected = false;
    this.#sending.clear();
    this.#transport.close();
  }

  #received() {
    return [...this.#conference.producers.values()].filter(({ linkId }) => linkId === this.id);
  }

  #consume(producerId: string): Promise<Consumer> {
    const pending = this.#transport.consume({ producerId });
    this.#sending.set(producerId, pending);
    const forget = (): void => {
      if (this.#sending.get(producerId) === pending) this.#sending.delete(producerId);
    };
    pending.then((consumer) => consumer.on('producerclose', forget), forget);
    return pending;
  }

  /** Once a second: asks, and judges what is known. */
  async #look(asking: Asking): Promise<void> {
    asking.ask();
    const stats = await this.stats().catch(() => undefined);
    if (this.#closing.signal.aborted || !stats) return;
    const now = performance.now();
    if (stats.bytesReceived > this.#bytesReceived) this.#mediaAt = now;
    this.#bytesReceived = stats.bytesReceived;
    const expecting = this.#received().some(({ producer }) => !producer.paused);
    this.#expectingSince = expecting ? (this.#expectingSince ?? now) : undefined;
    const { roundTripMs } = asking.window;
    const silenceMs = asking.window.silenceMs(now);
    const state = linkState({
      silenceMs,
      mediaSilenceMs: now - this.#mediaAt,
      expectingMs: this.#expectingSince === undefined ? undefined : now - this.#expectingSince,
      loss: asking.window.loss(now),
      roundTripMs,
    });
    if (state !== this.#state || now - this.#toldAt >= TELL_EVERY_MS) this.#tell(state);
    await this.#setConsent(silenceMs < CONSENT_MS);
  }

  async #setConsent(consent: boolean): Promise<void> {
    if (consent === this.#consent) return;
    this.#consent = consent;
    for (const pending of this.#sending.values()) {
      const consumer = await pending.catch(() => undefined);
      // It may have turned meanwhile: what was resumed then stays so.
      if (this.#consent !== consent) return;
      await (consent ? consumer?.resume() : consumer?.pause())?.catch(() => undefined);
    }
  }

  #tell(state: LinkState): void {
    this.#state = state;
    this.#toldAt = performance.now();
    const { id: linkId, peer, roundTripMs, loss } = this;
    const { id: conferenceId, context, ended } = this.#conference;
    if (!ended) context.notify('link.state', { linkId, conferenceId, peer, state, roundTripMs, loss });
  }
}
