/** A client's WebRTC transports: one to send, one to receive. */
import type { WebRtcTransport } from 'mediasoup/types';
import { transportOptionsSchema, type DtlsParameters, type TransportOptions } from '../protocol/media.ts';
import { SfuError } from './errors.ts';
import type { ConferenceHost } from './host.ts';
import { produce } from './producers.ts';
import type { SfuParams, SfuResult, SfuNotificationData } from './protocol.ts';
import type { PoolWorker } from './workers.ts';

/** ICE consent timeout of clients, in seconds. */
const ICE_CONSENT_TIMEOUT_S = 10;
/** Initial bandwidth estimate, in bits per second: higher than the default for a sharp first picture. */
const INITIAL_OUTGOING_BITRATE = 1_000_000;

type TransportState = SfuNotificationData<'transport.state'>['state'];

/** A conference, as seen by its transports. */
export interface TransportHost extends ConferenceHost {
  readonly worker: PoolWorker;
  readonly transports: Map<string, ClientTransport>;
  /**
   * Creates a transport of a participant.
   *
   * @param make also adds it to `transports`
   * @throws SfuError not-found if the participant was closed, or the conference ended, before it was made
   */
  openTransport(participantId: string, make: () => Promise<ClientTransport>): Promise<ClientTransport>;
}

export class ClientTransport {
  readonly participantId: string;
  readonly direction: 'send' | 'receive';
  readonly transport: WebRtcTransport;
  readonly #conference: TransportHost;
  #connecting = false;

  private constructor(conference: TransportHost, transport: WebRtcTransport, params: SfuParams<'transport.create'>) {
    this.#conference = conference;
    this.transport = transport;
    this.participantId = params.participantId;
    this.direction = params.direction;
    transport.on('icestatechange', (state) => {
      if (state === 'disconnected') this.#tell('disconnected');
      else if (state !== 'closed' && transport.dtlsState === 'connected') this.#tell('connected');
    });
    transport.on('dtlsstatechange', (state) => {
      if (state === 'connected' || state === 'failed' || state === 'closed') this.#tell(state);
    });
  }

  static open(conference: TransportHost, params: SfuParams<'transport.create'>): Promise<ClientTransport> {
    return conference.openTransport(params.participantId, () => ClientTransport.#open(conference, params));
  }

  static async #open(conference: TransportHost, params: SfuParams<'transport.create'>): Promise<ClientTransport> {
    const transport = await conference.router.createWebRtcTransport({
      webRtcServer: conference.worker.webRtcServer,
      enableUdp: true,
      enableTcp: true,
      preferUdp: true,
      iceConsentTimeout: ICE_CONSENT_TIMEOUT_S,
      initialAvailableOutgoingBitrate: INITIAL_OUTGOING_BITRATE,
    });
    const client = new ClientTransport(conference, transport, params);
    conference.transports.set(client.id, client);
    return client;
  }

  get id(): string {
    return this.transport.id;
  }

  /** What the client needs to create its side. */
  get options(): TransportOptions {
    const { id, iceParameters, iceCandidates, dtlsParameters } = this.transport;
    return transportOptionsSchema.parse({ id, iceParameters, iceCandidates, dtlsParameters });
  }

  /** @throws SfuError conflict when it was connected before */
  async connect(dtlsParameters: DtlsParameters): Promise<void> {
    if (this.#connecting) throw new SfuError('conflict', 'the transport was connected before');
    this.#connecting = true;
    try {
      await this.transport.connect({ dtlsParameters });
    } catch (error) {
      this.#connecting = false;
      throw error;
    }
  }

  async produce(params: SfuParams<'producer.create'>): Promise<SfuResult<'producer.create'>> {
    if (this.direction !== 'send') throw new SfuError('bad-request', 'producers need a transport to send');
    const { source, rtpParameters, paused } = params;
    const producer = await produce(this.#conference, {
      transport: this.transport,
      labels: { participantId: this.participantId, source, transportId: this.id },
      rtpParameters,
      paused,
    });
    return { producerId: producer.id };
  }

  close(): void {
    this.#conference.transports.delete(this.id);
    this.transport.close();
  }

  #tell(state: TransportState): void {
    if (this.#conference.ended || this.transport.closed) return;
    const { id: transportId, participantId } = this;
    this.#conference.context.notify('transport.state', { transportId, participantId, state });
  }
}
