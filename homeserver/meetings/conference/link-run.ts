/**
 * Carries out what link-machine.ts says of a link: on our SFU, by requests to the other homeserver, and with timers. What
 * comes of it are events for the machine again.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';
import { LinkCheck } from './link-check.ts';
import { LinkHandshake } from './link-handshake.ts';
import { LinkHealth, type Probes } from './link-health.ts';
import { REOPEN_GAP_MS, transition } from './link-machine.ts';
import { LinkMedia } from './link-media.ts';
import { type NodeId, opensLink } from './link-node.ts';
import { type Effect, IDLE, linkInUse, type LinkEvent, linksOf, type Phase, type Side, TIMERS } from './link-phase.ts';
import type { LinkConference, LinkDeps } from './link-ports.ts';
import { LinkTimers } from './link-timers.ts';

export class LinkRun {
  readonly media: LinkMedia;
  readonly handshake: LinkHandshake;
  readonly health: LinkHealth;
  readonly #peer: NodeId;
  readonly #side: Side;
  readonly #conference: LinkConference;
  readonly #deps: LinkDeps;
  readonly #clock: Clock;
  readonly #check: LinkCheck;
  readonly #timers: LinkTimers;
  #phase: Phase = IDLE;
  /** The newest that the probes of each link have said. */
  readonly #probes = new Map<string, Probes>();
  #openedAt = -Infinity;

  constructor(conference: LinkConference, own: NodeId, peer: NodeId, deps: LinkDeps) {
    const { sfu, peers, clock = systemClock } = deps;
    const { roomId } = conference;
    this.#peer = peer;
    this.#side = opensLink(own, peer) ? 'opens' : 'waits';
    this.#conference = conference;
    this.#deps = deps;
    this.#clock = clock;
    this.health = new LinkHealth(peer.server, clock, (state) => conference.notifyAll('link.changed', state));
    this.handshake = new LinkHandshake({ sfu, peers, roomId, own, peer, at: (hop) => (this.health.hop = hop) });
    this.media = new LinkMedia({
      conference,
      peer,
      sfu,
      peers,
      clock,
      answered: () => this.#answered(),
      failed: (linkId, error) => this.#requestFailed(error, linkId),
    });
    this.#timers = new LinkTimers(clock, (timer) => this.handle({ type: 'due', timer, fresh: randomUUID() }));
    this.#check = new LinkCheck({
      clock,
      log: conference.log,
      linkId: () => this.linkId,
      ask: (linkId) => this.#askFor(linkId),
    });
  }

  /** The link that media crosses, or will. */
  get linkId(): string | undefined {
    return linkInUse(this.#phase);
  }

  get closed(): boolean {
    return this.#phase.name === 'closed';
  }

  /** Whether this id is of a link here: of the one in use, or of one that is to take its place. */
  has(linkId: string): boolean {
    return linksOf(this.#phase).includes(linkId);
  }

  /** How long a peer that asks for a new link has to wait for it, in ms; not at all when that is 0 or less. */
  get reopenInMs(): number {
    return this.#openedAt + REOPEN_GAP_MS - this.#clock.monotonic();
  }

  /** Probes of the SFU tell how a link is. */
  probed(linkId: string, probes: Probes): void {
    if (!this.has(linkId)) return;
    this.#probes.set(linkId, probes);
    if (linkId === linkInUse(this.#phase)) this.#judge(probes);
    this.handle({ type: probes.state === 'interrupted' ? 'silent' : 'heard', linkId });
  }

  /** After a restart of the homeserver: the SFU still has this link, connected. */
  restored(linkId: string): void {
    this.handle({ type: 'restored', linkId });
    this.health.use();
    this.health.connected();
    this.#check.start(true);
  }

  /** Nothing goes on any more, after the machine has said so. */
  end(): void {
    this.#check.stop();
    this.health.stop();
    this.media.stop();
  }

  handle(event: LinkEvent): void {
    const { phase, effects } = transition(this.#side, this.#phase, event);
    this.#phase = phase;
    this.#timers.keep(TIMERS[phase.name]);
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'open':
        return this.#go(this.#open(effect.linkId));
      case 'ask':
        return this.#go(this.#ask());
      case 'connect':
        return this.#go(this.#connect(effect.linkId));
      case 'use':
        this.media.use(effect.linkId);
        return this.#used(effect.linkId);
      case 'change-over':
        this.#used(effect.linkId);
        return this.#go(this.#changeOver(effect.linkId));
      case 'finish':
        return this.media.finish();
      case 'release':
        return this.#go(this.#release(effect.linkId));
      case 'forget':
        this.#check.stop();
        return this.health.disuse();
      case 'close':
        return this.#close(effect.linkId);
      case 'tell-closed':
        this.#deps.peers.close(this.#peer, this.#conference.roomId, effect.linkId).catch(() => undefined);
        return;
      case 'start':
        return this.#timers.start(effect.timer, effect.after);
      case 'stop':
        return this.#timers.stop(effect.timer);
      case 'show':
        if (effect.state === 'connecting') this.health.connecting();
        else this.health.interrupted(effect.hop);
    }
  }

  /** What goes on in the background; it deals with its errors itself. */
  #go(work: Promise<void>): void {
    work.catch(unexpected(this.#conference.log, 'link: it did not go on'));
  }

  /** Never rejects. */
  async #open(linkId: string): Promise<void> {
    const { peers } = this.#deps;
    this.#openedAt = this.#clock.monotonic();
    try {
      await this.handshake.open(linkId, () => this.has(linkId));
      this.#answered();
      this.handle({ type: 'opened', linkId });
    } catch (error) {
      peers.forgetDiscovery(this.#peer);
      this.note(error);
      this.#requestFailed(error);
      this.handle({ type: 'open-failed', linkId, hop: peers.isSilence(error) ? 'federation' : 'media' });
    }
  }

  /** Never rejects. */
  async #connect(linkId: string): Promise<void> {
    const connected = this.handshake.connect(linkId);
    this.media.add(linkId, connected);
    try {
      await connected;
      this.handle({ type: 'connected', linkId });
    } catch (error) {
      this.note(error);
      this.#deps.peers.forgetDiscovery(this.#peer);
      this.handle({ type: 'connect-failed', linkId });
    }
  }

  /** Never rejects. */
  async #changeOver(linkId: string): Promise<void> {
    await this.media.changeOver(linkId);
    this.handle({ type: 'moved', linkId });
  }

  /** Never rejects. */
  async #release(linkId: string): Promise<void> {
    try {
      await this.media.release(linkId);
    } catch (error) {
      // Where the peer has closed it, that is what it says; else the time limit ends it.
      if (this.#deps.peers.isUnknownLink(error)) this.handle({ type: 'gone', linkId });
    }
  }

  /** A link is there: how it is, is how we are linked. */
  #used(linkId: string): void {
    this.health.use();
    this.#judge(this.#probes.get(linkId) ?? { state: 'connected', roundTripMs: undefined, loss: undefined });
    this.#check.start();
  }

  #close(linkId: string): void {
    this.#probes.delete(linkId);
    this.handshake.close(linkId);
    this.media.end(linkId);
  }

  /** Never rejects. The other side opens links: is it there at all? */
  async #ask(): Promise<void> {
    const { peers } = this.#deps;
    peers.askToOpen(this.#peer, this.#conference.roomId);
    try {
      await peers.ask(this.#peer);
      this.health.hop = 'media';
      this.#answered();
    } catch (error) {
      this.health.hop = 'federation';
      this.#requestFailed(error);
    }
    // What is not reached is told with the hop that fails, also when that is another one than before.
    const linked = linkInUse(this.#phase) !== undefined;
    if (!linked && this.health.state.state === 'interrupted') this.health.interrupted(this.health.hop);
  }

  // ---- how it is ----

  #judge(probes: Probes): void {
    this.health.probed(probes);
    if (probes.state !== 'interrupted') this.#timers.worked();
  }

  /** Never rejects. @returns whether the other homeserver is silent */
  async #askFor(linkId: string): Promise<boolean> {
    try {
      await this.#deps.peers.check(this.#peer, this.#conference.roomId, linkId);
      this.#answered();
    } catch (error) {
      this.#requestFailed(error, linkId);
    }
    return this.health.silent;
  }

  /** The other homeserver answered. */
  #answered(): void {
    this.#deps.reachability.heard(this.#peer.server);
    this.health.answered();
  }

  /** @param linkId of the link that was asked about */
  #requestFailed(error: unknown, linkId?: string): void {
    const { peers, reachability } = this.#deps;
    if (this.closed) return;
    if (linkId !== undefined && peers.isUnknownLink(error)) this.handle({ type: 'gone', linkId });
    if (!peers.isSilence(error)) return;
    reachability.failed(this.#peer.server);
    this.health.unanswered();
  }

  note(error: unknown): void {
    this.#conference.log.info({ err: error, organisation: this.#peer.server }, 'link: a step failed');
  }
}
