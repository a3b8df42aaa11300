/**
 * The link between our SFU and that of one other organisation, for one conference. docs/federation.md specifies the
 * messages and has a picture of its phases; the rules are in link-machine.ts, what crosses is in link-media.ts, what
 * clients are told in link-health.ts.
 *
 * Both sides have a time limit: a link that is not there after ten seconds is interrupted, and stays so, while it is
 * tried again, until media or its probes come through. Both sides ask each other regularly whether the link is there,
 * so that the end of a homeserver is known although its media server goes on.
 */
import { randomUUID } from 'node:crypto';
import type { LinkState } from '../../../protocol/session.ts';
import { LinkError } from './link-error.ts';
import { mainNode } from './link-node.ts';
import type { LinkConference, LinkDeps } from './link-ports.ts';
import type { LinkPath, Received } from './link-path.ts';
import { LinkRun } from './link-run.ts';
import type { SourceKey } from './local-participant.ts';
import type { LinkHalf, Offer } from './messages.ts';

/** Links that a peer may be opening at once. */
const MAX_ACCEPTING = 3;

export class Link {
  readonly server: string;
  readonly #run: LinkRun;
  #accepting = 0;

  constructor(conference: LinkConference, server: string, deps: LinkDeps) {
    this.server = server;
    this.#run = new LinkRun(conference, mainNode(deps.serverName), mainNode(server), deps);
  }

  /** How it is, as clients are told. */
  get state(): LinkState {
    return this.#run.health.state;
  }

  /** The link that media crosses, or will. */
  get linkId(): string | undefined {
    return this.#run.linkId;
  }

  /** Whether this id is of a link here: of the one in use, or of one that is to take its place. */
  has(linkId: string): boolean {
    return this.#run.has(linkId);
  }

  // ---- what crosses ----

  want(key: SourceKey): void {
    this.#run.media.want(key);
  }

  unwant(key: SourceKey): void {
    this.#run.media.unwant(key);
  }

  sourceSeen(key: SourceKey, remoteId: string, paused: boolean): void {
    this.#run.media.sourceSeen(key, remoteId, paused);
  }

  sourceGone(key: SourceKey): void {
    this.#run.media.sourceGone(key);
  }

  localSourceGone(key: SourceKey): void {
    this.#run.media.localSourceGone(key);
  }

  /** The peer wants these of our sources over a link, and nothing else. @throws LinkError unknown-link, SfuError */
  async serve(linkId: string, keys: readonly SourceKey[]): Promise<Offer[]> {
    const offers = await this.#run.media.serve(linkId, keys);
    if (keys.length === 0) this.#run.handle({ type: 'released', linkId });
    return offers;
  }

  // ---- what happens to it ----

  /** There are participants of both sides. */
  ensure(): void {
    this.#run.handle({ type: 'needed', fresh: randomUUID() });
  }

  /** The peer asks for a new link, having lost its half. */
  reopen(): void {
    const waitMs = this.#run.reopenInMs;
    this.#run.handle({ type: 'asked', waitMs, fresh: randomUUID() });
  }

  /**
   * The other side opens the link: makes our half, and connects it in the background.
   * @throws LinkError, DiscoveryError, FederationError or SfuError; whatever it is, clients are told of the failure
   */
  async accept(linkId: string, half: LinkHalf): Promise<LinkHalf> {
    if (this.#run.closed) throw new LinkError('closed', 'the conference has ended here');
    if (this.#accepting >= MAX_ACCEPTING) throw new LinkError('closed', 'too many links are being opened');
    this.#accepting += 1;
    try {
      const own = await this.#run.handshake.accept(linkId, half, () => !this.#run.closed);
      this.#run.handle({ type: 'accepted', linkId });
      if (!this.has(linkId)) throw new LinkError('closed', 'the link is not needed any more');
      return own;
    } catch (error) {
      this.#run.note(error);
      this.#run.handle({ type: 'accept-failed', hop: this.#run.health.hop });
      throw error;
    } finally {
      this.#accepting -= 1;
    }
  }

  /** The other side has closed a link; if both still need one, it is opened again. */
  closedByPeer(linkId: string): void {
    this.#run.handle({ type: 'gone', linkId });
  }

  /** Our SFU has lost the conference: a new link is needed, and everybody waits for it. */
  mediaLost(): void {
    this.#run.handle({ type: 'media-lost' });
  }

  /** Probes of the SFU tell how a link is. That the SFU is at it is no news; the time limit runs. */
  probed(linkId: string, state: LinkState['state'], roundTripMs?: number, loss?: number): void {
    if (state !== 'connecting') this.#run.probed(linkId, { state, roundTripMs, loss });
  }

  /** Whether the link is there: asked by the other side. @throws LinkError unknown-link */
  check(linkId: string): void {
    if (!this.has(linkId)) throw new LinkError('unknown-link', 'no such link');
  }

  /** After a restart of the homeserver: the SFU still has this link, connected. `sending` has ids of own producers. */
  restore(
    linkId: string,
    received: ReadonlyMap<SourceKey, Omit<Received, 'flows'>>,
    sending: ReadonlyMap<SourceKey, string>,
  ): void {
    this.#run.media.restore(linkId, received, sending);
    this.#run.restored(linkId);
  }

  /** What our SFU says it has of one of these links, after answers may have been lost. */
  agree(linkId: string, onSfu: Parameters<LinkPath['agree']>[0]): void {
    this.#run.media.agree(linkId, onSfu);
  }

  /** Ends timers without touching the media: the homeserver ends, the link stays for the next one. */
  stop(): void {
    this.#run.handle({ type: 'stopped' });
    this.#run.end();
  }

  /** Idempotent; tells the other side if it can be reached. */
  close(): void {
    if (this.#run.closed) return;
    this.#run.handle({ type: 'closed' });
    this.#run.end();
  }
}
