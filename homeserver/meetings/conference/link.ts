/**
 * The link between our SFU and that of one other organisation, for one conference: how it is opened, watched and opened
 * again. The instance with the smaller server name opens it. docs/federation.md specifies the messages; what crosses
 * the link is in link-media.ts, what clients are told of it in link-health.ts.
 *
 * Both sides have a time limit: a link that is not there after ten seconds is interrupted, and stays so, while it is
 * tried again, until media or its probes come through. Both sides ask each other regularly whether the link is there,
 * so that the end of a homeserver is known although its media server goes on.
 */
import { randomUUID } from 'node:crypto';
import type { LinkState } from '../../../protocol/session.ts';
import { unexpected } from '../../base/log.ts';
import { LinkError } from './link-error.ts';
import { checkPort, LinkHalves } from './link-half.ts';
import { LinkHealth } from './link-health.ts';
import { LinkMedia } from './link-media.ts';
import type { LinkConference, LinkDeps } from './link-ports.ts';
import type { SourceKey } from './local-participant.ts';
import type { LinkHalf, Offer } from './messages.ts';

/** Times to wait before opening a link again, in ms; the last one repeats. */
const RETRY_MS = [250, 500, 1_000, 2_000, 5_000, 10_000];
/** A peer that asks for a new link all the time gets one no more often than this, in ms. */
const REOPEN_GAP_MS = 1_000;
/** A link whose media has been silent for this long is opened anew, in ms. */
const REOPEN_AFTER_MS = 8_000;
/** The side that does not open the link asks for it after this time, in ms. */
const PATIENCE_MS = 3_000;
/** How often each side asks whether the link is there, and how soon again after a failure, in ms. */
const CHECK_EVERY_MS = 4_000;
const CHECK_AGAIN_MS = 1_000;
/** Links that a peer may be opening at once. */
const MAX_ACCEPTING = 3;

export class Link {
  readonly server: string;
  readonly #conference: LinkConference;
  readonly #deps: LinkDeps;
  readonly #opener: boolean;
  readonly #halves: LinkHalves;
  readonly #media: LinkMedia;
  readonly #health: LinkHealth;
  #linkId: string | undefined;
  #opening = false;
  #openedAt = -Infinity;
  #accepting = 0;
  #closed = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #reopen: NodeJS.Timeout | undefined;
  #check: NodeJS.Timeout | undefined;

  constructor(conference: LinkConference, server: string, deps: LinkDeps) {
    this.#conference = conference;
    this.server = server;
    this.#deps = deps;
    this.#opener = deps.serverName < server;
    this.#halves = new LinkHalves(deps.sfu, conference.roomId, server);
    this.#media = new LinkMedia({
      conference,
      server,
      sfu: deps.sfu,
      peers: deps.peers,
      answered: () => this.#answered(),
      failed: (error) => this.#requestFailed(error),
    });
    this.#health = new LinkHealth(server, (state) => conference.notifyAll('link.changed', state));
  }

  /** How it is, as clients are told. */
  get state(): LinkState {
    return this.#health.state;
  }

  get linkId(): string | undefined {
    return this.#linkId;
  }

  // ---- what crosses ----

  want(key: SourceKey): void {
    this.#media.want(key);
  }

  unwant(key: SourceKey): void {
    this.#media.unwant(key);
  }

  sourceSeen(key: SourceKey, remoteId: string, paused: boolean): void {
    this.#media.sourceSeen(key, remoteId, paused);
  }

  sourceGone(key: SourceKey): void {
    this.#media.sourceGone(key);
  }

  localSourceGone(key: SourceKey): void {
    this.#media.localSourceGone(key);
  }

  /** @throws LinkError unknown-link */
  async serve(linkId: string, keys: readonly SourceKey[]): Promise<Offer[]> {
    return this.#media.serve(linkId, keys);
  }

  // ---- opening ----

  /** Opens the link if it is ours to open and not open yet, or asks the other side. */
  ensure(): void {
    if (this.#closed || this.#linkId || this.#opening || this.#retry) return;
    if (this.#opener) this.#go(this.#open());
    else this.#retryLater(PATIENCE_MS);
  }

  /** Never rejects. */
  async #open(): Promise<void> {
    const { peers } = this.#deps;
    const { roomId } = this.#conference;
    this.#opening = true;
    this.#openedAt = performance.now();
    const linkId = randomUUID();
    this.#health.hop = 'media';
    try {
      const half = await this.#halves.create(linkId, () => !this.#closed);
      this.#health.hop = 'federation';
      const [discovery, answer] = await Promise.all([
        peers.discovery(this.server),
        peers.open(this.server, roomId, linkId, { port: half.port, srtp: half.srtp, probe_key: half.probeKey }),
      ]);
      this.#answered();
      this.#health.hop = 'media';
      if (this.#closed) throw new LinkError('closed', 'the link is not needed any more');
      await this.#replace(linkId, this.#halves.connect(linkId, discovery, answer));
      this.#failures = 0;
    } catch (error) {
      if (this.#linkId === linkId) this.#forgetLink();
      this.#halves.close(linkId);
      peers.forgetDiscovery(this.server);
      this.#note(error);
      const silent = peers.isSilence(error);
      if (silent) this.#requestFailed(error);
      this.#health.interrupted(silent ? 'federation' : 'media');
      this.#retryLater();
    } finally {
      this.#opening = false;
    }
  }

  /**
   * The other side opens the link: makes our half, and connects it in the background.
   * @throws LinkError, DiscoveryError, FederationError or SfuError; whatever it is, clients are told of the failure
   */
  async accept(linkId: string, half: LinkHalf): Promise<LinkHalf> {
    if (this.#closed) throw new LinkError('closed', 'the conference has ended here');
    if (this.#accepting >= MAX_ACCEPTING) throw new LinkError('closed', 'too many links are being opened');
    const { peers } = this.#deps;
    this.#accepting += 1;
    this.#health.hop = 'federation';
    let made = false;
    try {
      const discovery = await peers.discovery(this.server);
      this.#health.hop = 'media';
      checkPort(discovery, half.port);
      const own = await this.#halves.create(linkId, () => !this.#closed);
      made = true;
      if (this.#closed) throw new LinkError('closed', 'the conference has ended here');
      this.#go(this.#connectAccepted(linkId, this.#halves.connect(linkId, discovery, half)));
      return { port: own.port, srtp: own.srtp, probe_key: own.probeKey };
    } catch (error) {
      if (made) this.#halves.close(linkId);
      this.#note(error);
      if (!this.#linkId) this.#health.interrupted(this.#health.hop);
      throw error;
    } finally {
      this.#accepting -= 1;
    }
  }

  /** Never rejects. */
  async #connectAccepted(linkId: string, connecting: Promise<void>): Promise<void> {
    try {
      await this.#replace(linkId, connecting);
    } catch (error) {
      this.#note(error);
      // Its port is free again, also when another link has taken its place.
      this.#halves.close(linkId);
      this.#deps.peers.forgetDiscovery(this.server);
      if (this.#linkId !== linkId) return;
      this.#forgetLink();
      this.#health.interrupted('media');
      this.#retryLater();
    }
  }

  /** The new link takes the place of an older one, which is closed only now: make before break. */
  async #replace(linkId: string, connected: Promise<void>): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const old = this.#linkId;
    this.#linkId = linkId;
    this.#health.use();
    this.#media.use(linkId, connected, old !== undefined);
    if (old) this.#halves.close(old);
    await connected;
    this.#checkLater(CHECK_EVERY_MS);
  }

  /** There is no link now; what came over it has ended. Its half on the SFU is closed by whoever calls this. */
  #forgetLink(): void {
    this.#linkId = undefined;
    this.#health.disuse();
    clearTimeout(this.#check);
    this.#media.disuse();
  }

  /** What goes on in the background; it deals with its errors itself. */
  #go(work: Promise<void>): void {
    work.catch(unexpected(this.#conference.log, 'link: it did not go on'));
  }

  #retryLater(delay?: number): void {
    if (this.#closed || this.#retry) return;
    const backOff = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
    if (delay === undefined) this.#failures += 1;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (this.#closed || this.#opening || this.#linkId) return;
      this.#go(this.#opener ? this.#open() : this.#askToOpen());
    }, delay ?? backOff);
  }

  /** Never rejects. The other side opens links: is it there at all? */
  async #askToOpen(): Promise<void> {
    const { peers } = this.#deps;
    peers.askToOpen(this.server, this.#conference.roomId);
    this.#retryLater();
    try {
      await peers.ask(this.server);
      this.#health.hop = 'media';
      this.#answered();
    } catch (error) {
      this.#health.hop = 'federation';
      this.#requestFailed(error);
    }
    // What is not reached is told with the hop that fails, also when that is another one than before.
    if (!this.#linkId && this.state.state === 'interrupted') this.#health.interrupted(this.#health.hop);
  }

  /** The peer asks for a new link, having lost its half. */
  reopen(): void {
    if (!this.#opener || this.#opening || this.#closed || this.#retry) return;
    const wait = this.#openedAt + REOPEN_GAP_MS - performance.now();
    if (wait <= 0) {
      this.#go(this.#open());
      return;
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (!this.#closed && !this.#opening) this.#go(this.#open());
    }, wait);
  }

  /** Our SFU has lost the conference: a new link is needed, and everybody waits for it. Only the first is not put off. */
  mediaLost(): void {
    this.#forgetLink();
    const delay = this.#failures === 0 ? 0 : undefined;
    if (delay === 0) this.#failures = 1;
    this.#startAgain(delay);
  }

  /** The other side has closed this link; if both still need one, it is opened again. */
  closedByPeer(): void {
    const linkId = this.#linkId;
    if (!linkId) return;
    this.#forgetLink();
    this.#halves.close(linkId);
    this.#startAgain();
  }

  /** @param delay in ms; without it, longer with each failure */
  #startAgain(delay?: number): void {
    this.#health.connecting();
    this.#retryLater(delay);
  }

  // ---- how it is ----

  /** Probes of the SFU tell how the link is. */
  probed(linkId: string, state: LinkState['state'], roundTripMs?: number, loss?: number): void {
    // That the SFU is at it is no news; the time limit runs.
    if (linkId !== this.#linkId || state === 'connecting') return;
    this.#health.probed({ state, roundTripMs, loss });
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

  /** Whether the link is there: asked by the other side. @throws LinkError unknown-link */
  check(linkId: string): void {
    if (this.#linkId !== linkId) throw new LinkError('unknown-link', 'no such link');
  }

  #checkLater(delay: number): void {
    clearTimeout(this.#check);
    if (this.#closed) return;
    this.#check = setTimeout(() => this.#go(this.#checkNow()), delay);
  }

  /** Never rejects. */
  async #checkNow(): Promise<void> {
    const { peers } = this.#deps;
    const linkId = this.#linkId;
    if (!linkId || this.#closed) return;
    try {
      await peers.check(this.server, this.#conference.roomId, linkId);
      this.#answered();
    } catch (error) {
      this.#requestFailed(error);
    }
    if (this.#linkId === linkId) this.#checkLater(this.#health.silent ? CHECK_AGAIN_MS : CHECK_EVERY_MS);
  }

  /** The other homeserver answered. */
  #answered(): void {
    this.#deps.reachability.heard(this.server);
    this.#health.answered();
  }

  #requestFailed(error: unknown): void {
    const { peers, reachability } = this.#deps;
    if (this.#closed) return;
    if (peers.isUnknownLink(error) && this.#linkId) {
      const linkId = this.#linkId;
      this.#forgetLink();
      this.#halves.close(linkId);
      this.#startAgain();
      return;
    }
    if (!peers.isSilence(error)) return;
    reachability.failed(this.server);
    this.#health.unanswered();
  }

  #note(error: unknown): void {
    this.#conference.log.info({ err: error, organisation: this.server }, 'link: a step failed');
  }

  /** After a restart of the homeserver: the SFU still has this link, connected. */
  restore(
    linkId: string,
    received: ReadonlyMap<SourceKey, { producerId: string; remoteId: string }>,
    sending: ReadonlyMap<SourceKey, string>,
  ): void {
    this.#linkId = linkId;
    this.#health.use();
    this.#media.restore(linkId, received, sending);
    this.#health.connected();
    this.#checkLater(CHECK_AGAIN_MS);
  }

  /** Ends timers without touching the media: the homeserver ends, the link stays for the next one. */
  stop(): void {
    this.#closed = true;
    for (const timer of [this.#retry, this.#reopen, this.#check]) clearTimeout(timer);
    this.#health.stop();
    this.#media.stop();
  }

  /** Idempotent; tells the other side if it can be reached. */
  close(): void {
    if (this.#closed) return;
    this.stop();
    const linkId = this.#linkId;
    this.#forgetLink();
    if (!linkId) return;
    this.#halves.close(linkId);
    this.#deps.peers.close(this.server, this.#conference.roomId, linkId).catch(() => undefined);
  }
}
