/**
 * One conference: a router on one worker, with its transports, producers, consumers and links. Keeps labels, knows no
 * rules of meetings.
 */
import type { AudioLevelObserver, Producer, Router } from 'mediasoup/types';
import type { RtpCapabilities } from '../protocol/media.ts';
import { ROUTER_CODECS, clientCapabilities } from './codecs.ts';
import type { ConsumerHost, HeldConsumer } from './consumers.ts';
import { SfuError } from './errors.ts';
import type { HeldProducer, ProducerLabels, SfuContext } from './host.ts';
import type { Link, LinkHost } from './link.ts';
import type { SfuSnapshot } from './protocol.ts';
import type { ClientTransport, TransportHost } from './transports.ts';
import type { PoolWorker } from './workers.ts';

/** Shortest interval between speaker notifications, in ms. */
const SPEAKING_INTERVAL_MS = 300;
/** Quieter than this is silence, in dBov. */
const SPEAKING_THRESHOLD_DB = -60;
const SPEAKERS_TOLD = 8;

/** A transport being created: `closed` when it is no longer wanted. */
interface OpeningTransport {
  readonly participantId: string;
  closed: boolean;
}

export class Conference implements TransportHost, ConsumerHost, LinkHost {
  readonly id: string;
  readonly worker: PoolWorker;
  readonly router: Router;
  readonly context: SfuContext;
  readonly transports = new Map<string, ClientTransport>();
  readonly producers = new Map<string, HeldProducer>();
  readonly consumers = new Map<string, HeldConsumer>();
  readonly links = new Map<string, Link>();
  /** Transports being created, so that `closeParticipant` closes them as well. */
  readonly #opening = new Set<OpeningTransport>();
  readonly #speakers: AudioLevelObserver;
  #lastSpeakers = '';

  private constructor(
    id: string,
    worker: PoolWorker,
    router: Router,
    speakers: AudioLevelObserver,
    context: SfuContext,
  ) {
    this.id = id;
    this.worker = worker;
    this.router = router;
    this.context = context;
    this.#speakers = speakers;
    speakers.on('volumes', (volumes) => this.#tellSpeakers(volumes.map(({ producer }) => producer.id)));
    speakers.on('silence', () => this.#tellSpeakers([]));
  }

  static async open(id: string, worker: PoolWorker, context: SfuContext): Promise<Conference> {
    const router = await worker.worker.createRouter({ mediaCodecs: ROUTER_CODECS });
    try {
      const speakers = await router.createAudioLevelObserver({
        maxEntries: SPEAKERS_TOLD,
        threshold: SPEAKING_THRESHOLD_DB,
        interval: SPEAKING_INTERVAL_MS,
      });
      return new Conference(id, worker, router, speakers, context);
    } catch (error) {
      router.close();
      throw error;
    }
  }

  /** True once closed, or lost with its worker. No notifications are sent any more. */
  get ended(): boolean {
    return this.router.closed;
  }

  get rtpCapabilities(): RtpCapabilities {
    return clientCapabilities(this.router.rtpCapabilities);
  }

  /**
   * Creates a transport of a participant.
   *
   * @param make also adds it to `transports`
   * @throws SfuError not-found if the participant was closed, or the conference ended, before it was made
   */
  async openTransport(participantId: string, make: () => Promise<ClientTransport>): Promise<ClientTransport> {
    const opening = { participantId, closed: false };
    this.#opening.add(opening);
    try {
      const transport = await make();
      if (!opening.closed && !this.ended) return transport;
      transport.close();
      throw new SfuError('not-found', 'the participant was closed');
    } finally {
      this.#opening.delete(opening);
    }
  }

  /** Closes every transport of a participant, with its producers and consumers. */
  closeParticipant(participantId: string): void {
    for (const opening of this.#opening) if (opening.participantId === participantId) opening.closed = true;
    for (const transport of [...this.transports.values()]) {
      if (transport.participantId === participantId) transport.close();
    }
  }

  /** Adds a producer to the conference. Microphones are observed for speech, including those received over links. */
  async hold(producer: Producer, labels: ProducerLabels): Promise<void> {
    this.producers.set(producer.id, { ...labels, producer });
    producer.on('transportclose', () => {
      this.producers.delete(producer.id);
      if (!this.ended) this.context.notify('producer.closed', { conferenceId: this.id, producerId: producer.id });
    });
    if (labels.source === 'microphone') await this.#speakers.addProducer({ producerId: producer.id });
  }

  closeProducer(producerId: string): void {
    this.producers.get(producerId)?.producer.close();
    this.producers.delete(producerId);
  }

  closeConsumer(consumerId: string): void {
    this.consumers.get(consumerId)?.consumer.close();
    this.consumers.delete(consumerId);
  }

  /** @throws SfuError not-found */
  producer(producerId: string): HeldProducer {
    const held = this.producers.get(producerId);
    if (!held) throw new SfuError('not-found', 'no such producer in the conference');
    return held;
  }

  /** The forwarding load: everything received plus everything sent. */
  get load(): number {
    let load = this.producers.size + this.consumers.size;
    for (const link of this.links.values()) load += link.sending.length;
    return load;
  }

  snapshot(): SfuSnapshot['conferences'][number] {
    return {
      conferenceId: this.id,
      transports: [...this.transports.values()].map(({ id, participantId, direction }) => ({
        transportId: id,
        participantId,
        direction,
      })),
      producers: [...this.producers.values()].map(({ producer, ...labels }) => ({
        ...labels,
        producerId: producer.id,
        kind: producer.kind,
        paused: producer.paused,
      })),
      consumers: [...this.consumers.values()].map(({ consumer, transportId }) => ({
        consumerId: consumer.id,
        producerId: consumer.producerId,
        transportId,
        paused: consumer.paused,
      })),
      links: [...this.links.values()].map(({ id, peer, connected, sending }) => ({
        linkId: id,
        peer,
        connected,
        sending,
      })),
    };
  }

  /** Closes the conference; also after its worker died, when only state of this process is left. */
  close(): void {
    this.router.close();
    for (const link of this.links.values()) link.close();
    this.links.clear();
    this.transports.clear();
    this.producers.clear();
    this.consumers.clear();
  }

  #tellSpeakers(producerIds: string[]): void {
    const participantIds = [
      ...new Set(producerIds.flatMap((producerId) => this.producers.get(producerId)?.participantId ?? [])),
    ];
    const speakers = JSON.stringify(participantIds);
    if (this.ended || speakers === this.#lastSpeakers) return;
    this.#lastSpeakers = speakers;
    this.context.notify('speaking', { conferenceId: this.id, participantIds });
  }
}
