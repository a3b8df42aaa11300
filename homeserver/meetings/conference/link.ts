/**
 * The link between our SFU and that of one other organisation, for one conference.
 *
 * The instance with the smaller server name opens it. Each side asks for the whole set of sources that somebody
 * behind it watches or hears; nothing else crosses. Link ids and producers are named by each side for itself.
 * docs/federation.md specifies the messages.
 */
import { randomUUID } from 'node:crypto';
import type { LinkState } from '../../../protocol/session.ts';
import type { SfuClient } from '../../../sfu/client.ts';
import type { Conference } from './conference.ts';
import { parseSourceKey, sourceKey, type SourceKey } from './local-participant.ts';
import { participantIdOf, splitParticipantId } from './membership.ts';
import type { Discovery, LinkHalf, Offer } from './messages.ts';

/** Times to wait before opening a link again, in ms; the last one repeats. */
const RETRY_MS = [250, 500, 1_000, 2_000, 5_000, 10_000];
/** A link whose media has been silent for this long is opened anew, in ms. */
const REOPEN_AFTER_MS = 8_000;
/** The side that does not open the link asks for it after this time, in ms. */
const PATIENCE_MS = 3_000;
/** After a restart of the homeserver its clients need a moment to come back and say what they watch, in ms. */
const RESTORE_MS = 10_000;

/** The requests that a link makes to the other instance. */
export interface LinkPeers {
  discovery(server: string): Promise<Discovery>;
  forgetDiscovery(server: string): void;
  open(server: string, roomId: string, linkId: string, half: LinkHalf): Promise<LinkHalf>;
  wants(server: string, roomId: string, linkId: string, keys: SourceKey[]): Promise<Offer[]>;
  close(server: string, roomId: string, linkId: string): Promise<void>;
  /** Asks the side that opens links to do so. */
  askToOpen(server: string, roomId: string): void;
  /** True when the failure says that the other side does not know the link (any more). */
  isUnknownLink(error: unknown): boolean;
}

interface LinkDeps {
  serverName: string;
  sfu: SfuClient;
  peers: LinkPeers;
}

/** A refusal of what the other side said about a link. */
export class LinkError extends Error {
  readonly code: 'bad-address' | 'unknown-link' | 'closed';
  constructor(code: LinkError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

interface Received {
  producerId: string;
  /** The sender's name for the source; another one means that it was published anew. */
  remoteId: string;
  paused: boolean;
}

export class Link {
  readonly server: string;
  readonly #conference: Conference;
  readonly #deps: LinkDeps;
  readonly #opener: boolean;
  #linkId: string | undefined;
  /** Settles when the SFU has proven the peer's address and may send. */
  #connected: Promise<void> = Promise.reject(new LinkError('closed', 'the link is not open'));
  #opening = false;
  #closed = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #reopen: NodeJS.Timeout | undefined;
  /** How many of our participants want each source. */
  readonly #demand = new Map<SourceKey, number>();
  readonly #received = new Map<SourceKey, Received>();
  /** Our sources that the other side wants, and those among them that are being sent. */
  readonly #wantedByPeer = new Set<SourceKey>();
  readonly #sending = new Map<SourceKey, string>();
  #asked = '';
  #flushing = false;
  #restoring = false;
  #dirty = false;
  state: LinkState;

  constructor(conference: Conference, server: string, deps: LinkDeps) {
    this.#conference = conference;
    this.server = server;
    this.#deps = deps;
    this.#opener = deps.serverName < server;
    this.#connected.catch(() => undefined);
    this.state = { organisation: server, state: 'connecting', since: Date.now() };
  }

  get linkId(): string | undefined {
    return this.#linkId;
  }

  // ---- demand ----

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
      this.#deps.sfu.request(method, { producerId: received.producerId }).catch((error: unknown) => this.#note(error));
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

  // ---- opening ----

  /** Opens the link if it is ours to open and not open yet, or asks the other side. */
  ensure(): void {
    if (this.#closed || this.#linkId || this.#opening || this.#retry) return;
    if (this.#opener) void this.#open();
    else this.#retryLater(PATIENCE_MS);
  }

  async #open(): Promise<void> {
    const { sfu, peers } = this.#deps;
    this.#opening = true;
    const linkId = randomUUID();
    let hop: 'federation' | 'media' = 'media';
    try {
      const half = await sfu.request('link.create', {
        conferenceId: this.#conference.roomId,
        linkId,
        peer: this.server,
      });
      hop = 'federation';
      const [discovery, answer] = await Promise.all([
        peers.discovery(this.server),
        peers.open(this.server, this.#conference.roomId, linkId, {
          port: half.port,
          srtp: half.srtp,
          probe_key: half.probeKey,
        }),
      ]);
      hop = 'media';
      await this.#replace(linkId, this.#connect(linkId, discovery, answer));
      this.#failures = 0;
    } catch (error) {
      await sfu.request('link.close', { linkId }).catch(() => undefined);
      peers.forgetDiscovery(this.server);
      this.#note(error);
      this.setState('interrupted', { hop });
      this.#retryLater();
    } finally {
      this.#opening = false;
      if (this.#closed) await this.close();
    }
  }

  /** The other side opens the link: makes our half, and connects it in the background. */
  async accept(linkId: string, half: LinkHalf): Promise<LinkHalf> {
    if (this.#closed) throw new LinkError('closed', 'the conference has ended here');
    const { sfu, peers } = this.#deps;
    const discovery = await peers.discovery(this.server);
    checkPort(discovery, half.port);
    const own = await sfu.request('link.create', {
      conferenceId: this.#conference.roomId,
      linkId,
      peer: this.server,
    });
    const connecting = this.#connect(linkId, discovery, half);
    connecting.catch((error: unknown) => {
      this.#note(error);
      if (this.#linkId !== linkId) return;
      this.#relink();
      this.setState('interrupted', { hop: 'media' });
    });
    void this.#replace(linkId, connecting).catch(() => undefined);
    return { port: own.port, srtp: own.srtp, probe_key: own.probeKey };
  }

  async #connect(linkId: string, discovery: Discovery, half: LinkHalf): Promise<void> {
    const sfu = checkPort(discovery, half.port);
    await this.#deps.sfu.request('link.connect', {
      linkId,
      address: sfu.address,
      port: half.port,
      probePort: sfu.probe_port,
      srtp: half.srtp,
      probeKey: half.probe_key,
    });
  }

  /** The new link takes the place of an older one, which is closed only now: make before break. */
  async #replace(linkId: string, connected: Promise<void>): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const old = this.#linkId;
    this.#linkId = linkId;
    this.#connected = connected;
    connected.catch(() => undefined);
    this.#asked = '';
    this.#sending.clear();
    this.#wantedByPeer.clear();
    for (const key of [...this.#received.keys()]) this.#drop(key, old !== undefined);
    if (old) await this.#deps.sfu.request('link.close', { linkId: old }).catch(() => undefined);
    await connected;
    this.#flush();
  }

  #backOff(): number {
    const delay = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? 10_000;
    this.#failures += 1;
    return delay;
  }

  #retryLater(delay = this.#backOff()): void {
    if (this.#closed || this.#retry) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (this.#closed || this.#opening || this.#linkId) return;
      if (this.#opener) void this.#open();
      else this.#deps.peers.askToOpen(this.server, this.#conference.roomId);
    }, delay);
  }

  /** The peer asks for a new link, having lost its half. */
  reopen(): void {
    if (this.#opener && !this.#opening && !this.#closed) void this.#open();
  }

  /** Our SFU has lost the conference: a new link is needed. */
  mediaLost(): void {
    this.#linkId = undefined;
    this.#received.clear();
    this.#sending.clear();
    this.#wantedByPeer.clear();
    this.#asked = '';
    this.setState('connecting');
    if (this.#opener) this.reopen();
    else this.#deps.peers.askToOpen(this.server, this.#conference.roomId);
  }

  // ---- what crosses ----

  /** Asks for what is wanted now, when that differs from what was asked. One request at a time. */
  #flush(): void {
    this.#dirty = true;
    if (this.#flushing) return;
    this.#flushing = true;
    // Wants that change in one turn go out as one request.
    queueMicrotask(() => {
      void (async () => {
        while (this.#dirty && !this.#closed && this.#linkId) {
          this.#dirty = false;
          try {
            await this.#ask(this.#linkId);
          } catch (error) {
            this.#note(error);
            if (this.#deps.peers.isUnknownLink(error)) this.#relink();
            else this.#askAgainLater();
          }
        }
        this.#flushing = false;
      })();
    });
  }

  async #ask(linkId: string): Promise<void> {
    const demand = new Set(this.#demand.keys());
    if (this.#restoring) for (const key of this.#received.keys()) demand.add(key);
    const keys = [...demand].filter((key) => this.#conference.remoteSource(key)).sort();
    const wanted = new Set(this.#restoring ? demand : keys);
    for (const key of [...this.#received.keys()]) if (!wanted.has(key)) this.#drop(key);
    const names = keys.map((key) => `${key} ${this.#conference.remoteSource(key)?.id ?? ''}`).join('\n');
    if (names === this.#asked) return;
    await this.#connected;
    const offers = await this.#deps.peers.wants(this.server, this.#conference.roomId, linkId, keys);
    if (this.#linkId !== linkId || this.#closed) return;
    this.#asked = names;
    await Promise.all(offers.map((offer) => this.#receive(linkId, offer, wanted)));
  }

  async #receive(linkId: string, offer: Offer, wanted: ReadonlySet<SourceKey>): Promise<void> {
    const participantId = participantIdOf(offer.user_id, offer.device_id);
    const key = sourceKey(participantId, offer.source);
    // A peer may speak for its own people only, and only about what was asked.
    if (splitParticipantId(participantId).server !== this.server || !wanted.has(key)) return;
    if (this.#received.get(key)?.remoteId === offer.id) return;
    this.#drop(key);
    const { producerId } = await this.#deps.sfu.request('link.receive', {
      linkId,
      participantId,
      source: offer.source,
      remoteId: offer.id,
      kind: offer.kind,
      rtpParameters: offer.rtp_parameters,
      paused: offer.paused,
    });
    const current = this.#conference.remoteSource(key);
    this.#received.set(key, { producerId, remoteId: offer.id, paused: offer.paused });
    this.#conference.setReceived(key, producerId);
    if (current) this.sourceSeen(key, current.id, current.paused);
  }

  #drop(key: SourceKey, gone = false): void {
    const received = this.#received.get(key);
    if (!received) return;
    this.#received.delete(key);
    this.#asked = '';
    this.#conference.setReceived(key, undefined);
    if (!gone) {
      this.#deps.sfu
        .request('producer.close', { producerId: received.producerId })
        .catch((error: unknown) => this.#note(error));
    }
  }

  #askAgainLater(): void {
    if (this.#closed) return;
    this.setState('interrupted', { hop: 'federation' });
    setTimeout(() => {
      this.#asked = '';
      this.#flush();
    }, this.#backOff()).unref();
  }

  #relink(): void {
    this.#linkId = undefined;
    this.setState('connecting');
    this.#retryLater();
  }

  /** The other side says what it wants of our sources: starts and stops sending accordingly. */
  async serve(linkId: string, keys: SourceKey[]): Promise<Offer[]> {
    if (this.#linkId !== linkId) throw new LinkError('unknown-link', 'no such link');
    await this.#connected.catch(() => {
      throw new LinkError('unknown-link', 'the link was not connected');
    });
    const { sfu } = this.#deps;
    this.#wantedByPeer.clear();
    for (const key of keys) this.#wantedByPeer.add(key);
    for (const [key, producerId] of [...this.#sending]) {
      const current = this.#conference.localSource(key)?.producerId;
      if (this.#wantedByPeer.has(key) && current === producerId) continue;
      this.#sending.delete(key);
      await sfu.request('link.unsend', { linkId, producerId }).catch((error: unknown) => this.#note(error));
    }
    const offers = await Promise.all(keys.map((key) => this.#offer(linkId, key)));
    return offers.filter((offer) => offer !== undefined);
  }

  async #offer(linkId: string, key: SourceKey): Promise<Offer | undefined> {
    const local = this.#conference.localSource(key);
    if (!local) return undefined;
    const sent = await this.#deps.sfu.request('link.send', { linkId, producerId: local.producerId });
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

  // ---- state ----

  /** Probes of the SFU tell how the link is. */
  probed(linkId: string, state: LinkState['state'], roundTripMs?: number, loss?: number): void {
    if (linkId !== this.#linkId) return;
    this.setState(state, { roundTripMs, loss, ...(state === 'interrupted' ? { hop: 'media' } : {}) });
    if (state === 'interrupted') {
      this.#reopen ??= setTimeout(() => {
        this.#reopen = undefined;
        this.reopen();
      }, REOPEN_AFTER_MS);
    } else {
      this.#failures = 0;
      clearTimeout(this.#reopen);
      this.#reopen = undefined;
    }
  }

  setState(state: LinkState['state'], details: Partial<LinkState> = {}): void {
    const since = state === this.state.state ? this.state.since : Date.now();
    const changed = state !== this.state.state || details.hop !== this.state.hop;
    this.state = { organisation: this.server, state, since, ...details };
    if (changed) this.#conference.notifyAll('link.changed', this.state);
  }

  #note(error: unknown): void {
    this.#conference.log.info({ err: error, organisation: this.server }, 'link: a step failed');
  }

  /** After a restart of the homeserver: the SFU still has this link, connected. `sending` has ids of own producers. */
  restore(
    linkId: string,
    received: ReadonlyMap<SourceKey, { producerId: string; remoteId: string }>,
    sending: ReadonlyMap<SourceKey, string>,
  ): void {
    this.#linkId = linkId;
    for (const [key, producerId] of sending) {
      this.#sending.set(key, producerId);
      this.#wantedByPeer.add(key);
    }
    this.#connected = Promise.resolve();
    this.setState('connected');
    for (const [key, { producerId, remoteId }] of received) {
      this.#received.set(key, { producerId, remoteId, paused: false });
    }
    this.#restoring = true;
    setTimeout(() => {
      this.#restoring = false;
      this.#flush();
    }, RESTORE_MS).unref();
  }

  /** The other side has closed this link; if both still need one, it is opened again. */
  closedByPeer(): void {
    const linkId = this.#linkId;
    if (!linkId) return;
    this.#linkId = undefined;
    for (const key of [...this.#received.keys()]) this.#drop(key, true);
    this.#sending.clear();
    this.#deps.sfu.request('link.close', { linkId }).catch(() => undefined);
    this.setState('connecting');
    this.#retryLater();
  }

  /** Ends timers without touching the media: the homeserver ends, the link stays for the next one. */
  stop(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#reopen);
  }

  /** Idempotent; tells the other side if it can be reached. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#reopen);
    const linkId = this.#linkId;
    this.#linkId = undefined;
    for (const key of [...this.#received.keys()]) this.#drop(key, true);
    if (!linkId) return;
    await this.#deps.sfu.request('link.close', { linkId }).catch(() => undefined);
    await this.#deps.peers.close(this.server, this.#conference.roomId, linkId).catch(() => undefined);
  }
}

/** The SFU that a discovery document names, if the port is one that the organisation has declared. */
function checkPort(discovery: Discovery, port: number): NonNullable<Discovery['sfu']> {
  const { sfu } = discovery;
  if (!sfu) throw new LinkError('bad-address', 'the organisation declares no SFU');
  if (port < sfu.min_port || port > sfu.max_port) {
    throw new LinkError('bad-address', 'the port is outside the range that the organisation declares');
  }
  return sfu;
}
