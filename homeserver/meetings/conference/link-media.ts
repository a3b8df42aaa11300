/**
 * What crosses a link. Each side asks for the whole set of sources that somebody behind it watches or hears; nothing
 * else crosses. Link ids and producers are named by each side for itself.
 */
import { parseSourceKey, sourceKey, type SourceKey } from './local-participant.ts';
import { LinkError } from './link-error.ts';
import type { LinkConference, LinkPeers } from './link-ports.ts';
import { participantIdOf, splitParticipantId } from './membership.ts';
import type { Offer } from './messages.ts';
import type { SfuPort } from './ports.ts';

/** After a restart of the homeserver its clients need a moment to come back and say what they watch, in ms. */
const RESTORE_MS = 10_000;
/** Times to wait before asking again for what is wanted, in ms; the last one repeats. */
const ASK_AGAIN_MS = [500, 1_000, 2_000, 5_000, 10_000];

interface Received {
  producerId: string;
  /** The sender's name for the source; another one means that it was published anew. */
  remoteId: string;
  paused: boolean;
}

export interface LinkMediaOptions {
  readonly conference: LinkConference;
  readonly server: string;
  readonly sfu: SfuPort;
  readonly peers: LinkPeers;
  /** The other homeserver answered what it was asked. */
  answered(): void;
  /** It did not, or not well. */
  failed(error: unknown): void;
}

export class LinkMedia {
  readonly #options: LinkMediaOptions;
  #linkId: string | undefined;
  /** Settles when the SFU has proven the peer's address and may send. */
  #connected: Promise<void> = Promise.resolve();
  /** Ends the waits for a link that is not in use any more: its SFU may be dead, and never answer. */
  #replaced = Promise.withResolvers<void>();
  /** How many of our participants want each source. */
  readonly #demand = new Map<SourceKey, number>();
  readonly #received = new Map<SourceKey, Received>();
  /** Our sources that are being sent, by their producers. */
  readonly #sending = new Map<SourceKey, string>();
  #asked = '';
  #flushing = false;
  #restoring = false;
  #dirty = false;
  #failures = 0;
  #again: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: LinkMediaOptions) {
    this.#options = options;
  }

  // ---- the link itself ----

  /** From now on everything crosses this link. @param old whether what came over the one before has ended with it */
  use(linkId: string, connected: Promise<void>, old: boolean): void {
    this.#linkId = linkId;
    this.#connected = connected;
    this.#endWaits();
    this.#asked = '';
    this.#sending.clear();
    for (const key of [...this.#received.keys()]) this.#drop(key, old);
    connected.then(
      () => this.#flush(),
      () => undefined,
    );
  }

  /** There is no link now. What came over it has ended with it. */
  disuse(): void {
    this.#linkId = undefined;
    this.#endWaits();
    this.#sending.clear();
    this.#asked = '';
    for (const key of [...this.#received.keys()]) this.#drop(key, true);
  }

  /** After a restart of the homeserver: the SFU still has this link, connected. `sending` has ids of own producers. */
  restore(
    linkId: string,
    received: ReadonlyMap<SourceKey, { producerId: string; remoteId: string }>,
    sending: ReadonlyMap<SourceKey, string>,
  ): void {
    this.#linkId = linkId;
    this.#connected = Promise.resolve();
    for (const [key, producerId] of sending) this.#sending.set(key, producerId);
    for (const [key, { producerId, remoteId }] of received) {
      this.#received.set(key, { producerId, remoteId, paused: false });
    }
    this.#restoring = true;
    setTimeout(() => {
      this.#restoring = false;
      this.#flush();
    }, RESTORE_MS).unref();
  }

  stop(): void {
    this.#stopped = true;
    this.#endWaits();
    clearTimeout(this.#again);
  }

  #endWaits(): void {
    this.#replaced.resolve();
    this.#replaced = Promise.withResolvers();
  }

  /** Settles when the link in use is connected, or is not in use any more. */
  #settled(): Promise<void> {
    return Promise.race([this.#connected, this.#replaced.promise]);
  }

  // ---- what we want ----

  want(key: SourceKey): void {
    this.#demand.set(key, (this.#demand.get(key) ?? 0) + 1);
    this.#flush();
  }

  unwant(key: SourceKey): void {
    const count = (this.#demand.get(key) ?? 0) - 1;
    if (count > 0) this.#demand.set(key, count);
    else this.#demand.delete(key);
    this.#flush();
  }

  /** The other side's participant sends this source, or its mute state changed. */
  sourceSeen(key: SourceKey, remoteId: string, paused: boolean): void {
    const received = this.#received.get(key);
    if (received?.remoteId === remoteId) {
      if (received.paused === paused) return;
      received.paused = paused;
      const method = paused ? 'producer.pause' : 'producer.resume';
      this.#options.sfu
        .request(method, { producerId: received.producerId })
        .catch((error: unknown) => this.#note(error));
      return;
    }
    this.#flush();
  }

  sourceGone(key: SourceKey): void {
    this.#drop(key);
    this.#flush();
  }

  /** Our own participant stopped sending; the SFU has ended it on the link by itself. */
  localSourceGone(key: SourceKey): void {
    this.#sending.delete(key);
  }

  /** Asks for what is wanted now, when that differs from what was asked. One request at a time. */
  #flush(): void {
    this.#dirty = true;
    if (this.#flushing) return;
    this.#flushing = true;
    // Wants that change in one turn go out as one request.
    queueMicrotask(() => {
      this.#rounds().catch(this.#options.failed);
    });
  }

  /** Never rejects. */
  async #rounds(): Promise<void> {
    while (this.#dirty && !this.#stopped && this.#linkId) {
      this.#dirty = false;
      try {
        await this.#ask(this.#linkId);
      } catch (error) {
        this.#note(error);
        // Who does not know the link, or never proved its address, gets a new one, and is asked over that.
        if (!this.#options.peers.isUnknownLink(error)) this.#askAgainLater();
        this.#options.failed(error);
      }
    }
    this.#flushing = false;
  }

  async #ask(linkId: string): Promise<void> {
    const { conference, peers, server } = this.#options;
    const demand = new Set(this.#demand.keys());
    if (this.#restoring) for (const key of this.#received.keys()) demand.add(key);
    const keys = [...demand].filter((key) => conference.remoteSource(key)).sort();
    const wanted = new Set(this.#restoring ? demand : keys);
    for (const key of [...this.#received.keys()]) if (!wanted.has(key)) this.#drop(key);
    const names = keys.map((key) => `${key} ${conference.remoteSource(key)?.id ?? ''}`).join('\n');
    if (names === this.#asked) return;
    await this.#settled();
    if (this.#linkId !== linkId || this.#stopped) return;
    const offers = await peers.wants(server, conference.roomId, linkId, keys);
    this.#failures = 0;
    this.#options.answered();
    if (this.#linkId !== linkId || this.#stopped) return;
    this.#asked = names;
    await Promise.all(offers.map((offer) => this.#receive(linkId, offer, wanted)));
  }

  async #receive(linkId: string, offer: Offer, wanted: ReadonlySet<SourceKey>): Promise<void> {
    const { conference, sfu, server } = this.#options;
    const participantId = participantIdOf(offer.user_id, offer.device_id);
    const key = sourceKey(participantId, offer.source);
    // A peer may speak for its own people only, and only about what was asked.
    if (splitParticipantId(participantId).server !== server || !wanted.has(key)) return;
    if (this.#received.get(key)?.remoteId === offer.id) return;
    this.#drop(key);
    const { producerId } = await sfu.request('link.receive', {
      linkId,
      participantId,
      source: offer.source,
      remoteId: offer.id,
      kind: offer.kind,
      rtpParameters: offer.rtp_parameters,
      paused: offer.paused,
    });
    // The link it came over is not the one in use any more, and has taken it along.
    if (this.#linkId !== linkId) return;
    const current = conference.remoteSource(key);
    this.#received.set(key, { producerId, remoteId: offer.id, paused: offer.paused });
    conference.setReceived(key, producerId);
    if (current) this.sourceSeen(key, current.id, current.paused);
  }

  #drop(key: SourceKey, gone = false): void {
    const { conference, sfu } = this.#options;
    const received = this.#received.get(key);
    if (!received) return;
    this.#received.delete(key);
    this.#asked = '';
    conference.setReceived(key, undefined);
    if (gone) return;
    sfu.request('producer.close', { producerId: received.producerId }).catch((error: unknown) => this.#note(error));
  }

  #askAgainLater(): void {
    const delay = ASK_AGAIN_MS[Math.min(this.#failures, ASK_AGAIN_MS.length - 1)];
    this.#failures += 1;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      this.#asked = '';
      this.#flush();
    }, delay);
  }

  // ---- what the other side wants ----

  /** The other side says what it wants of our sources: starts and stops sending accordingly. */
  async serve(linkId: string, keys: readonly SourceKey[]): Promise<Offer[]> {
    this.#checkLink(linkId);
    await this.#settled().catch(() => {
      throw new LinkError('unknown-link', 'the link was not connected');
    });
    this.#checkLink(linkId);
    const { conference, sfu } = this.#options;
    const wanted = new Set(keys);
    for (const [key, producerId] of [...this.#sending]) {
      if (wanted.has(key) && conference.localSource(key)?.producerId === producerId) continue;
      this.#sending.delete(key);
      await sfu.request('link.unsend', { linkId, producerId }).catch((error: unknown) => this.#note(error));
    }
    const offers = await Promise.all(keys.map((key) => this.#offer(linkId, key)));
    this.#checkLink(linkId);
    return offers.filter((offer) => offer !== undefined);
  }

  #checkLink(linkId: string): void {
    if (this.#linkId !== linkId) throw new LinkError('unknown-link', 'no such link');
  }

  async #offer(linkId: string, key: SourceKey): Promise<Offer | undefined> {
    const { conference, sfu } = this.#options;
    const local = conference.localSource(key);
    if (!local) return undefined;
    const sent = await sfu.request('link.send', { linkId, producerId: local.producerId });
    if (this.#linkId !== linkId || conference.localSource(key)?.producerId !== local.producerId) return undefined;
    this.#sending.set(key, local.producerId);
    const { participantId, source } = parseSourceKey(key);
    const { userId, deviceId } = splitParticipantId(participantId);
    return {
      user_id: userId,
      device_id: deviceId,
      source,
      id: local.producerId,
      kind: sent.kind,
      paused: local.paused,
      rtp_parameters: sent.rtpParameters,
    };
  }

  #note(error: unknown): void {
    const { conference, server } = this.#options;
    conference.log.info({ err: error, organisation: server }, 'link: a step failed');
  }
}
