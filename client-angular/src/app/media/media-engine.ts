/**
 * WebRTC of one conference by mediasoup-client: one transport to send, one to receive, both to the own SFU.
 * Knows the session only by the requests it makes; knows nothing of the screen.
 */
import type { types } from 'mediasoup-client';
import { Subject } from 'rxjs';
import {
  KIND_OF_SOURCE,
  rtpCapabilitiesSchema,
  rtpParametersSchema,
  type Source,
  type TransportOptions,
} from '../../../../protocol/media.ts';
import type { MediaOpened, Method, NotificationData, Params, Result, Watch } from '../../../../protocol/session.ts';
import { markFirst } from '../core/marks.ts';
import { cameraEncodings, screenEncodings } from './encodings.ts';
import type { TransportProgress } from './media-line.ts';
import { ReceivedMedia, type RemoteMedia } from './received-media.ts';
import { StreamIds } from './stream-ids.ts';

/** A broken transport gets this long to heal by itself before ICE is restarted, in ms. */
const HEAL_MS = 2_000;
/** So many ICE restarts in a row, then new transports. */
const MAX_ICE_RESTARTS = 2;
/**
 * What came over a link is played this late, in ms. The browser plans for retransmissions on its own line only; on the
 * link a lost packet may be missed as late as with the next picture, 50 ms after. What comes later than planned is lost.
 */
const LINK_JITTER_BUFFER_MS = 100;

export type Requester = <M extends Exclude<Method, 'hello'>>(method: M, params: Params<M>) => Promise<Result<M>>;

interface Open {
  device: types.Device;
  send: types.Transport;
  receive: types.Transport;
  /** Those that have something to carry. Firefox may stay at `new` where it finds no way at all. */
  begun: Set<types.Transport>;
}

export class MediaEngine {
  readonly #request: Requester;
  readonly #remoteMedia = new Subject<ReadonlyMap<string, RemoteMedia>>();
  /** All that is received, when it has changed. */
  readonly remoteMedia = this.#remoteMedia.asObservable();
  readonly #broken = new Subject<void>();
  /** A transport can not be repaired: media must be opened anew. */
  readonly broken = this.#broken.asObservable();
  readonly #progress = new Subject<readonly TransportProgress[]>();
  /** What all transports are at, when one of them has changed. */
  readonly progress = this.#progress.asObservable();
  #open: Open | undefined;
  readonly #producers = new Map<Source, types.Producer>();
  readonly #streamIds = new StreamIds();
  readonly #received = new ReceivedMedia((media) => this.#remoteMedia.next(media));
  /** Consumers that the server took back while they were being made. */
  readonly #removed = new Set<string>();
  #ready: string[] = [];
  #watched: string | undefined;
  #wanted: readonly Watch[] = [];
  /** Publishing and muting of one source happen one after the other. */
  readonly #turns = new Map<Source, Promise<void>>();

  constructor(request: Requester) {
    this.#request = request;
  }

  /** What `conference.join` needs to keep the transports after a restart of the homeserver. */
  get kept(): { send: string; receive: string; consumers: string[] } | undefined {
    if (!this.#open) return undefined;
    const consumers = this.#received.consumerIds.slice(0, 200);
    return { send: this.#open.send.id, receive: this.#open.receive.id, consumers };
  }

  get transports(): readonly types.Transport[] {
    return this.#open ? [this.#open.send, this.#open.receive] : [];
  }

  /** Whether this browser connects media to loopback addresses: of those that are known only Chromium does. */
  get usesLoopback(): boolean {
    return this.#open?.device.handlerName.startsWith('Chrome') ?? true;
  }

  /** Fetches the library, which is a large part of the client, ahead of need. */
  static async preload(): Promise<void> {
    await import('./mediasoup.ts');
  }

  /**
   * Makes the client's side of new transports. What was open before is closed.
   * @param wanted aborted when these transports are not wanted any more; then none are made
   */
  async open(media: MediaOpened, wanted: AbortSignal): Promise<void> {
    this.close();
    const { Device, detectDevice } = await import('./mediasoup.ts');
    const device = await Device.factory({ handlerName: detectDevice() ?? 'Chrome111' });
    await device.load({ routerRtpCapabilities: media.rtpCapabilities as types.RtpCapabilities });
    if (wanted.aborted) return;
    const send = device.createSendTransport(transportOptions(media.send));
    const receive = device.createRecvTransport(transportOptions(media.receive));
    const open: Open = { device, send, receive, begun: new Set() };
    this.#open = open;
    for (const transport of [send, receive]) this.#supervise(open, transport);
    send.on('produce', ({ rtpParameters, appData }, done, failed) => {
      const source = appData['source'] as Source;
      this.#request('media.publish', {
        transportId: send.id,
        source,
        rtpParameters: rtpParametersSchema.parse(rtpParameters),
        paused: false,
      }).then(({ producerId }) => done({ id: producerId }), failed);
    });
    this.#sendWatch();
  }

  close(): void {
    const open = this.#open;
    this.#open = undefined;
    this.#watched = undefined;
    this.#producers.clear();
    this.#received.clear();
    this.#removed.clear();
    this.#ready = [];
    open?.send.close();
    open?.receive.close();
    if (open) this.#remoteMedia.next(new Map());
  }

  // ---- sending ----

  /** Sends a source, or pauses it when there is no track. Calls for the same source follow each other. */
  setTrack(source: Source, track: MediaStreamTrack | undefined): Promise<void> {
    return this.#inTurn(source, () => this.#setTrack(source, track));
  }

  /** Stops sending a source altogether, after what was begun with it before. */
  unpublish(source: Source): Promise<void> {
    return this.#inTurn(source, () => this.#unpublish(source));
  }

  #inTurn(source: Source, change: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(source) ?? Promise.resolve()).then(change);
    this.#turns.set(
      source,
      turn.catch(() => undefined),
    );
    return turn;
  }

  async #setTrack(source: Source, track: MediaStreamTrack | undefined): Promise<void> {
    const open = this.#open;
    if (!open) return;
    const producer = this.#producers.get(source);
    if (producer && !producer.closed) {
      if (track?.readyState === 'live') {
        await producer.replaceTrack({ track });
        if (!producer.paused) return;
        producer.resume();
        await this.#request('media.resume', { source });
      } else {
        if (producer.paused) return;
        producer.pause();
        await producer.replaceTrack({ track: null });
        await this.#request('media.pause', { source });
      }
      return;
    }
    if (track?.readyState !== 'live' || !open.device.canProduce(KIND_OF_SOURCE[source])) return;
    const made = await open.send.produce({
      track,
      stopTracks: false,
      appData: { source },
      ...(KIND_OF_SOURCE[source] === 'audio' ? audioOptions() : videoOptions(source, track)),
    });
    if (this.#open === open) this.#producers.set(source, made);
    else made.close();
  }

  async #unpublish(source: Source): Promise<void> {
    const producer = this.#producers.get(source);
    this.#producers.delete(source);
    producer?.close();
    if (producer) await this.#request('media.unpublish', { source });
  }

  /**
   * After the homeserver came back: makes what it knows of our sources agree with what we send.
   * @param known the sources that the server has for us
   */
  async agree(known: readonly { source: Source; paused: boolean }[]): Promise<void> {
    const sources = new Set([...this.#producers.keys(), ...known.map(({ source }) => source)]);
    for (const source of sources) {
      const there = known.find((candidate) => candidate.source === source);
      await this.#inTurn(source, () => this.#agree(source, there));
    }
  }

  async #agree(source: Source, there: { paused: boolean } | undefined): Promise<void> {
    const producer = this.#producers.get(source);
    if (!producer) {
      if (there) await this.#request('media.unpublish', { source });
    } else if (!there) {
      const { track } = producer;
      this.#producers.delete(source);
      producer.close();
      if (track && !producer.paused) await this.#setTrack(source, track);
    } else if (there.paused !== producer.paused) {
      await this.#request(producer.paused ? 'media.pause' : 'media.resume', { source });
    }
  }

  // ---- receiving ----

  /** Declares everything that shall be received. */
  watch(wanted: readonly Watch[]): void {
    this.#wanted = wanted;
    this.#sendWatch();
  }

  /** Declares it again: the server has forgotten. */
  watchAgain(): void {
    this.#watched = undefined;
    this.#sendWatch();
  }

  #sendWatch(): void {
    const open = this.#open;
    if (!open) return;
    const watch = [...this.#wanted];
    const fingerprint = JSON.stringify(watch);
    if (fingerprint === this.#watched) return;
    this.#watched = fingerprint;
    if (watch.some(({ source }) => KIND_OF_SOURCE[source] === 'video')) markFirst('firstWatch');
    const rtpCapabilities = rtpCapabilitiesSchema.parse(open.device.recvRtpCapabilities);
    this.#request('media.watch', { transportId: open.receive.id, rtpCapabilities, watch }).catch(() => {
      if (this.#watched === fingerprint) this.#watched = undefined;
    });
  }

  /** @param byLink whether it comes from another organisation */
  async added(data: NotificationData<'consumer.added'>, byLink: boolean): Promise<void> {
    const open = this.#open;
    if (!open) return;
    markFirst('firstConsumer');
    const { consumerId, participantId, source, producerId, kind } = data;
    let consumer: types.Consumer;
    try {
      consumer = await open.receive.consume({
        id: consumerId,
        producerId,
        kind,
        rtpParameters: data.rtpParameters as types.RtpParameters,
        streamId: this.#streamIds.of(participantId, source),
      });
    } catch {
      // The transport was closed meanwhile: what follows brings everything anew.
      return;
    }
    if (this.#open !== open || this.#removed.delete(consumerId)) {
      consumer.close();
      return;
    }
    if (byLink && consumer.rtpReceiver) consumer.rtpReceiver.jitterBufferTarget = LINK_JITTER_BUFFER_MS;
    const shown = this.#received.add(consumer, {
      consumerId,
      participantId,
      source,
      track: consumer.track,
      weak: false,
    });
    this.#tellReady(consumerId);
    await shown;
  }

  removed(consumerId: string): void {
    if (!this.#received.remove(consumerId)) this.#removed.add(consumerId);
  }

  layers(consumerId: string, weak: boolean): void {
    this.#received.setWeak(consumerId, weak);
  }

  /** Consumers that are made in the same moment are reported together. */
  #tellReady(consumerId: string): void {
    this.#ready.push(consumerId);
    if (this.#ready.length > 1) return;
    queueMicrotask(() => {
      const consumerIds = this.#ready.splice(0, 100);
      if (consumerIds.length > 0) this.#request('media.ready', { consumerIds }).catch(() => undefined);
    });
  }

  // ---- transports ----

  #supervise(open: Open, transport: types.Transport): void {
    let restarts = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const repair = async (): Promise<void> => {
      if (this.#open !== open || transport.closed || transport.connectionState === 'connected') return;
      restarts += 1;
      if (restarts > MAX_ICE_RESTARTS) {
        this.#broken.next();
        return;
      }
      try {
        const { iceParameters } = await this.#request('media.restart-ice', { transportId: transport.id });
        if (this.#open !== open || transport.closed) return;
        await transport.restartIce({ iceParameters });
        timer = setTimeout(() => void repair(), HEAL_MS * 2);
      } catch {
        if (this.#open === open) this.#broken.next();
      }
    };
    const report = (): void => {
      if (this.#open !== open) return;
      const progress = [open.send, open.receive].map((each): TransportProgress => {
        const { connectionState } = each;
        return connectionState === 'new' && open.begun.has(each) ? 'connecting' : connectionState;
      });
      this.#progress.next(progress);
    };
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      open.begun.add(transport);
      report();
      this.#request('media.connect', { transportId: transport.id, dtlsParameters }).then(done, failed);
    });
    transport.on('connectionstatechange', (state) => {
      clearTimeout(timer);
      report();
      if (state === 'connected') {
        restarts = 0;
        if (transport === open.receive) markFirst('receiving');
      } else if (state === 'disconnected') timer = setTimeout(() => void repair(), HEAL_MS);
      else if (state === 'failed') void repair();
    });
    transport.observer.on('close', () => clearTimeout(timer));
  }
}

function transportOptions(options: TransportOptions): types.TransportOptions {
  return {
    id: options.id,
    iceParameters: options.iceParameters,
    dtlsParameters: options.dtlsParameters,
    iceCandidates: options.iceCandidates.map((candidate) => ({
      ...candidate,
      ip: candidate.ip ?? candidate.address,
    })) as types.IceCandidate[],
  };
}

function audioOptions(): Partial<types.ProducerOptions> {
  return {
    codecOptions: { opusDtx: true, opusFec: true, opusStereo: false },
    encodings: [{ dtx: true, maxBitrate: 48_000 }],
  };
}

function videoOptions(source: Source, track: MediaStreamTrack): Partial<types.ProducerOptions> {
  return {
    codecOptions: { videoGoogleStartBitrate: 800 },
    encodings: source === 'screen' ? screenEncodings() : cameraEncodings(track.getSettings().height ?? 720),
  };
}
