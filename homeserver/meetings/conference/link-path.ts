/**
 * What crosses one link. Each side asks for the whole set of sources that somebody behind it watches or hears; nothing
 * else crosses. Link ids and producers are named by each side for itself.
 */
import type { Clock, Cancel } from '../../base/clock.ts';
import { LinkError } from './link-error.ts';
import type { NodeId } from './link-node.ts';
import type { LinkConference, LinkPeers } from './link-ports.ts';
import { LinkSending } from './link-sending.ts';
import { sourceKey, type SourceKey } from './local-participant.ts';
import { participantIdOf, splitParticipantId } from './membership.ts';
import type { Offer } from './messages.ts';
import type { SfuPort } from './ports.ts';

/** After a restart of the homeserver its clients need a moment to come back and say what they watch, in ms. */
const RESTORE_MS = 10_000;
/** Times to wait before asking again for what is wanted, in ms; the last one repeats. */
const ASK_AGAIN_MS = [500, 1_000, 2_000, 5_000, 10_000];

export interface Received {
  readonly producerId: string;
  /** The sender's name for the source; another one means that it was published anew. */
  readonly remoteId: string;
  paused: boolean;
  /** Its media comes, or has been waited for long enough. */
  flows: boolean;
}

/** A source of a link, as our SFU has it. */
export interface OnSfu {
  readonly producerId: string;
  readonly paused: boolean;
}

/** What all links between the same two nodes share. */
export interface PathHost {
  readonly conference: LinkConference;
  readonly peer: NodeId;
  readonly sfu: SfuPort;
  readonly peers: LinkPeers;
  readonly clock: Clock;
  /** The sources that somebody behind us watches or hears. */
  demand(): Iterable<SourceKey>;
  /** What is received of a source is another than before. */
  changed(key: SourceKey): void;
  /** The other homeserver answered what it was asked. */
  answered(): void;
  /** It did not, or not well. */
  failed(linkId: string, error: unknown): void;
}

export class LinkPath {
  readonly linkId: string;
  readonly #host: PathHost;
  /** Settles when the SFU has proven the peer's address and may send. */
  readonly #connected: Promise<void>;
  /** Ends all waits: the SFU may be dead, and never answer. */
  readonly #ended = Promise.withResolvers<void>();
  readonly #filled = Promise.withResolvers<void>();
  readonly #received = new Map<SourceKey, Received>();
  readonly #sending: LinkSending;
  #asks = false;
  #asked = '';
  #flushing = false;
  #dirty = false;
  #restoring = false;
  #failures = 0;
  #over = false;
  #again: Cancel | undefined;
  #restored: Cancel | undefined;

  /** It answers the peer at once, and asks for nothing before `start`. */
  constructor(linkId: string, connected: Promise<void>, host: PathHost) {
    this.linkId = linkId;
    this.#connected = connected;
    this.#host = host;
    this.#sending = new LinkSending(linkId, host);
    // What failed is dealt with by whoever connects; here it only ends waits.
    connected.catch(() => undefined);
  }

  /** From now on what is wanted is asked for over this link. */
  start(): void {
    this.#asks = true;
    this.flush();
  }

  /** Nothing more is asked for; what comes goes on. */
  hold(): void {
    this.#asks = false;
    this.#again?.();
  }

  /** After a restart of the homeserver: the SFU still has this link, connected. `sending` has ids of own producers. */
  restore(received: ReadonlyMap<SourceKey, Omit<Received, 'flows'>>, sending: ReadonlyMap<SourceKey, string>): void {
    this.#sending.restore(sending);
    for (const [key, before] of received) this.#received.set(key, { ...before, flows: true });
    this.#restoring = true;
    this.#asks = true;
    // What the rules did not allow meanwhile is not kept until clients are back.
    for (const key of this.keys()) if (this.#host.conference.refuses(key)) this.drop(key);
    this.#restored = this.#host.clock.after(RESTORE_MS, () => {
      this.#restoring = false;
      this.flush();
    });
  }

  /** Ends all work, and touches no media. */
  stop(): void {
    this.#over = true;
    this.#again?.();
    this.#restored?.();
    this.#ended.resolve();
    this.#filled.resolve();
  }

  /** The link has ended, and what came over it with it. */
  end(): void {
    this.stop();
    this.#received.clear();
    this.#sending.end();
  }

  /** Resolves when what was wanted at the beginning is received, or the link has ended. */
  get filled(): Promise<void> {
    return this.#filled.promise;
  }

  // ---- what we want ----

  keys(): SourceKey[] {
    return [...this.#received.keys()];
  }

  received(key: SourceKey): Received | undefined {
    return this.#received.get(key);
  }

  /** The other side's participant sends this source, or its mute state changed. */
  sourceSeen(key: SourceKey, remoteId: string, paused: boolean): void {
    const received = this.#received.get(key);
    if (received?.remoteId !== remoteId) {
      this.flush();
      return;
    }
    if (received.paused === paused) return;
    received.paused = paused;
    const method = paused ? 'producer.pause' : 'producer.resume';
    this.#host.sfu.request(method, { producerId: received.producerId }).catch((error: unknown) => this.#note(error));
  }

  /** A source is not received any more. */
  drop(key: SourceKey): void {
    const received = this.#received.get(key);
    if (!received) return;
    this.#received.delete(key);
    this.#asked = '';
    this.#host.changed(key);
    this.#host.sfu
      .request('producer.close', { producerId: received.producerId })
      .catch((error: unknown) => this.#note(error));
  }

  /** Tells the peer that we want nothing over this link any more. */
  async release(): Promise<void> {
    const { conference, peers, peer } = this.#host;
    await peers.wants(peer, conference.roomId, this.linkId, []);
  }

  /** Asks for what is wanted now, when that differs from what was asked. One request at a time. */
  flush(): void {
    this.#dirty = true;
    if (this.#flushing) return;
    this.#flushing = true;
    // Wants that change in one turn go out as one request.
    queueMicrotask(() => {
      this.#rounds().catch((error: unknown) => this.#host.failed(this.linkId, error));
    });
  }

  /** Never rejects. */
  async #rounds(): Promise<void> {
    while (this.#dirty && this.#asks && !this.#over) {
      this.#dirty = false;
      try {
        await this.#ask();
        this.#filled.resolve();
      } catch (error) {
        this.#note(error);
        // Who does not know the link, or never proved its address, gets a new one, and is asked over that.
        if (!this.#host.peers.isUnknownLink(error)) this.#askAgainLater();
        this.#host.failed(this.linkId, error);
      }
    }
    this.#flushing = false;
  }

  async #ask(): Promise<void> {
    const { conference, peers, peer } = this.#host;
    const demand = new Set(this.#host.demand());
    if (this.#restoring) for (const key of this.#received.keys()) demand.add(key);
    const keys = [...demand].filter((key) => conference.remoteSource(key)).sort();
    const wanted = new Set(this.#restoring ? demand : keys);
    for (const key of this.keys()) if (!wanted.has(key)) this.drop(key);
    const names = keys.map((key) => `${key} ${conference.remoteSource(key)?.id ?? ''}`).join('\n');
    if (names === this.#asked) return;
    await this.#settled();
    if (this.#over) return;
    const offers = await peers.wants(peer, conference.roomId, this.linkId, keys);
    this.#failures = 0;
    this.#host.answered();
    if (this.#over) return;
    this.#asked = names;
    await Promise.all(offers.map((offer) => this.#receive(offer, wanted)));
  }

  async #receive(offer: Offer, wanted: ReadonlySet<SourceKey>): Promise<void> {
    const { conference, sfu, peer } = this.#host;
    const participantId = participantIdOf(offer.user_id, offer.device_id);
    const key = sourceKey(participantId, offer.source);
    // A peer may speak for its own people only, and only about what was asked.
    if (splitParticipantId(participantId).server !== peer.server || !wanted.has(key)) return;
    if (this.#received.get(key)?.remoteId === offer.id) return;
    this.drop(key);
    // What was ordered to be paused comes paused, whatever the peer says.
    const paused = offer.paused || conference.remoteSource(key)?.paused === true;
    const { producerId } = await sfu.request('link.receive', {
      linkId: this.linkId,
      participantId,
      source: offer.source,
      remoteId: offer.id,
      kind: offer.kind,
      rtpParameters: offer.rtp_parameters,
      paused,
    });
    // The link has taken it along.
    if (this.#over) return;
    const current = conference.remoteSource(key);
    this.#received.set(key, { producerId, remoteId: offer.id, paused, flows: false });
    this.#host.changed(key);
    if (current) this.sourceSeen(key, current.id, current.paused);
  }

  #askAgainLater(): void {
    const delay = ASK_AGAIN_MS[Math.min(this.#failures, ASK_AGAIN_MS.length - 1)] ?? 0;
    this.#failures += 1;
    this.#again?.();
    this.#again = this.#host.clock.after(delay, () => {
      this.#asked = '';
      this.flush();
    });
  }

  /** Settles when the link is connected, or has ended. */
  #settled(): Promise<void> {
    return Promise.race([this.#connected, this.#ended.promise]);
  }

  /**
   * What our SFU says it has of this link, after answers may have been lost: what nobody here knows of ends, and what was
   * paused or resumed meanwhile is so there as well.
   */
  agree(onSfu: { readonly received: readonly OnSfu[]; readonly sending: readonly string[] }): void {
    const { sfu } = this.#host;
    const known = new Map([...this.#received.values()].map((received) => [received.producerId, received]));
    for (const { producerId, paused } of onSfu.received) {
      const received = known.get(producerId);
      if (received?.paused === paused) continue;
      const method = received ? (received.paused ? 'producer.pause' : 'producer.resume') : 'producer.close';
      sfu.request(method, { producerId }).catch((error: unknown) => this.#note(error));
    }
    for (const producerId of onSfu.sending) {
      if (this.#sending.has(producerId)) continue;
      sfu.request('link.unsend', { linkId: this.linkId, producerId }).catch((error: unknown) => this.#note(error));
    }
  }

  // ---- what the other side wants ----

  /** Our own participant stopped sending; the SFU has ended it on the link by itself. */
  localSourceGone(key: SourceKey): void {
    this.#sending.gone(key);
  }

  /**
   * The other side says what it wants of our sources: starts and stops sending accordingly.
   * @throws LinkError unknown-link
   */
  async serve(keys: readonly SourceKey[]): Promise<Offer[]> {
    await this.#settled().catch(() => {
      throw new LinkError('unknown-link', 'the link was not connected');
    });
    this.#checkOver();
    const offers = await this.#sending.set(keys);
    this.#checkOver();
    return offers;
  }

  #checkOver(): void {
    if (this.#over) throw new LinkError('unknown-link', 'no such link');
  }

  #note(error: unknown): void {
    const { conference, peer } = this.#host;
    conference.log.info({ err: error, organisation: peer.server }, 'link: a step failed');
  }
}
