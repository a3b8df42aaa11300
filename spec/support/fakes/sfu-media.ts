/** The rules of media in the fake SFU: what is in a conference, what ends with what, and what is told of it. */
import { KIND_OF_SOURCE, type RtpCapabilities, type RtpParameters, type Source } from '../../../protocol/media.ts';
import { SfuError } from '../../../sfu/errors.ts';
import type {
  ProducerState,
  SfuNotificationData,
  SfuNotificationName,
  SfuParams,
  SfuSnapshot,
} from '../../../sfu/protocol.ts';

export const FAKE_CAPABILITIES: RtpCapabilities = {
  codecs: [
    { kind: 'audio', mimeType: 'audio/opus', preferredPayloadType: 100, clockRate: 48000, channels: 2 },
    { kind: 'video', mimeType: 'video/VP8', preferredPayloadType: 101, clockRate: 90000 },
    { kind: 'video', mimeType: 'video/rtx', preferredPayloadType: 102, clockRate: 90000, parameters: { apt: 101 } },
  ],
  headerExtensions: [],
};

export type Tell = <N extends SfuNotificationName>(name: N, data: SfuNotificationData<N>) => void;

export interface FakeTransport {
  readonly id: string;
  readonly participantId: string;
  readonly direction: 'send' | 'receive';
  connected: boolean;
}

export interface FakeProducer extends ProducerState {
  readonly rtpParameters: RtpParameters;
}

export interface FakeConsumer {
  readonly consumerId: string;
  readonly producerId: string;
  readonly transportId: string;
  paused: boolean;
  layers: SfuParams<'consumer.prefer'>['layers'];
  priority: number | undefined;
}

export interface FakeLink {
  readonly id: string;
  readonly peer: string;
  readonly port: number;
  connecting: boolean;
  connected: boolean;
  /** Whether the peer answers probes; without it nothing is sent. */
  consent: boolean;
  readonly sending: Set<string>;
}

/** Why a conference is not there any more. */
export type Ended = 'closed' | 'lost';

let count = 0;
/** An id that no other thing has. */
export function newId(what: string): string {
  count += 1;
  return `${what}-${String(count)}`;
}

export class FakeConference {
  readonly id: string;
  readonly worker: number;
  readonly transports = new Map<string, FakeTransport>();
  readonly producers = new Map<string, FakeProducer>();
  readonly consumers = new Map<string, FakeConsumer>();
  readonly links = new Map<string, FakeLink>();
  /** Transports on their way, by who they are for. */
  readonly opening = new Set<{ readonly participantId: string; closed: boolean }>();
  ended: Ended | undefined;
  readonly #tell: Tell;
  /** What the worker tells a moment later. */
  readonly #later: (task: () => void) => void;

  constructor(id: string, worker: number, tell: Tell, later: (task: () => void) => void) {
    this.id = id;
    this.worker = worker;
    this.#later = later;
    this.#tell = (name, data) => {
      if (!this.ended) tell(name, data);
    };
  }

  /** Takes a producer in. @throws SfuError bad-request for the wrong codecs, conflict for an SSRC that is taken */
  produce(
    from: { readonly transportId: string } | { readonly linkId: string; readonly remoteId: string },
    options: { participantId: string; source: Source; rtpParameters: RtpParameters; paused: boolean },
  ): FakeProducer {
    const { participantId, source, rtpParameters, paused } = options;
    const kind = KIND_OF_SOURCE[source];
    if (rtpParameters.codecs.some(({ mimeType }) => !mimeType.startsWith(`${kind}/`))) {
      throw new SfuError('bad-request', `the source ${source} needs codecs of the kind ${kind}`);
    }
    const producer = { ...from, producerId: newId('producer'), participantId, source, kind, paused, rtpParameters };
    const ssrcs = ssrcsOf(rtpParameters);
    for (const other of this.producers.values()) {
      const sameWay = 'linkId' in from ? other.linkId === from.linkId : other.transportId === from.transportId;
      if (sameWay && ssrcsOf(other.rtpParameters).some((ssrc) => ssrcs.includes(ssrc))) {
        throw new SfuError('conflict', 'ssrc already exists');
      }
    }
    this.producers.set(producer.producerId, producer);
    return producer;
  }

  closeTransport({ id }: FakeTransport): void {
    this.transports.delete(id);
    // Whoever closed the transport knows of the end of what was received over it.
    for (const [consumerId, { transportId }] of this.consumers) {
      if (transportId === id) this.consumers.delete(consumerId);
    }
    this.#endProducers(({ transportId }) => transportId === id);
  }

  closeParticipant(participantId: string): void {
    for (const opening of this.opening) if (opening.participantId === participantId) opening.closed = true;
    for (const transport of [...this.transports.values()]) {
      if (transport.participantId === participantId) this.closeTransport(transport);
    }
  }

  closeLink(link: FakeLink): void {
    this.links.delete(link.id);
    link.connected = false;
    link.sending.clear();
    this.#endProducers(({ linkId }) => linkId === link.id);
  }

  /** Those that end with what they came over are told of; those that are closed by name are not. */
  #endProducers(isEnding: (producer: FakeProducer) => boolean): void {
    for (const producer of [...this.producers.values()]) {
      if (!isEnding(producer)) continue;
      this.closeProducer(producer.producerId);
      this.#tell('producer.closed', { conferenceId: this.id, producerId: producer.producerId });
    }
  }

  closeProducer(producerId: string): void {
    this.producers.delete(producerId);
    for (const link of this.links.values()) link.sending.delete(producerId);
    this.#later(() => {
      for (const [consumerId, consumer] of this.consumers) {
        if (consumer.producerId !== producerId) continue;
        this.consumers.delete(consumerId);
        this.#tell('consumer.closed', { consumerId, transportId: consumer.transportId });
      }
    });
  }

  end(how: Ended): void {
    this.ended = how;
    for (const each of [this.transports, this.producers, this.consumers, this.links]) each.clear();
  }

  /** @throws SfuError when the conference is not there any more */
  check(): void {
    if (this.ended === 'lost') throw new SfuError('worker-lost', 'the worker died');
    if (this.ended) throw new SfuError('not-found', 'the conference was closed');
  }

  snapshot(): SfuSnapshot['conferences'][number] {
    return {
      conferenceId: this.id,
      transports: [...this.transports.values()].map(({ id, participantId, direction }) => ({
        transportId: id,
        participantId,
        direction,
      })),
      producers: [...this.producers.values()].map(({ rtpParameters: _, ...producer }) => ({ ...producer })),
      consumers: [...this.consumers.values()].map(({ consumerId, producerId, transportId, paused }) => ({
        consumerId,
        producerId,
        transportId,
        paused,
      })),
      links: [...this.links.values()].map(({ id, peer, connected, sending }) => ({
        linkId: id,
        peer,
        connected,
        sending: [...sending],
      })),
    };
  }
}

function ssrcsOf({ encodings }: RtpParameters): number[] {
  return (encodings ?? []).flatMap(({ ssrc }) => ssrc ?? []);
}
