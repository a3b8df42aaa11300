/**
 * What crosses between us and the other side, over whichever link: the one in use, and the one before while it is being
 * replaced. Of each source one producer is received by our participants at any moment: that of the old link until media
 * comes over the new one, so that a healthy link is replaced without a gap and nobody is heard twice.
 */
import { type PathHost, LinkPath } from './link-path.ts';
import { LinkError } from './link-error.ts';
import type { SourceKey } from './local-participant.ts';
import type { Offer } from './messages.ts';

/** Media that does not come over a new link in this time does not keep the old one, in ms. */
const FLOWS_WITHIN_MS = 5_000;

export class LinkMedia {
  readonly #host: PathHost;
  /** How many of our participants want each source. */
  readonly #demand = new Map<SourceKey, number>();
  /** All links, also those on their way: the peer may ask over them. */
  readonly #paths = new Map<string, LinkPath>();
  #using: LinkPath | undefined;
  #old: LinkPath | undefined;
  /** The producer that our participants receive a source from. */
  readonly #shown = new Map<SourceKey, string>();

  constructor(host: Omit<PathHost, 'demand' | 'changed'>) {
    this.#host = { ...host, demand: () => this.#demand.keys(), changed: (key) => this.#changed(key) };
  }

  // ---- links ----

  /** There is a link, to be connected. The peer may ask over it; we do not yet. */
  add(linkId: string, connected: Promise<void>): LinkPath {
    const path = new LinkPath(linkId, connected, this.#host);
    this.#paths.set(linkId, path);
    return path;
  }

  /** From now on everything crosses this link. There is no other one. */
  use(linkId: string): void {
    this.#using = this.#paths.get(linkId);
    this.#using?.start();
  }

  /** After a restart of the homeserver: the SFU still has this link, connected. */
  restore(linkId: string, ...media: Parameters<LinkPath['restore']>): void {
    const path = this.add(linkId, Promise.resolve());
    this.#using = path;
    path.restore(...media);
    for (const [key, { producerId }] of media[0]) if (path.received(key)) this.#shown.set(key, producerId);
  }

  /**
   * What we receive changes over to this link, source by source.
   * @returns when all of it has. Never rejects; of no interest when the link in use is another one by then
   */
  async changeOver(linkId: string): Promise<void> {
    const from = this.#using;
    const to = this.#paths.get(linkId);
    if (!to) return;
    this.#old = from;
    this.#using = to;
    from?.hold();
    to.start();
    await to.filled;
    if (!from || this.#old !== from) return;
    await Promise.all(to.keys().map((key) => this.#move(key, from, to)));
    // What the peer does not give over the new link has ended.
    if (this.#old === from) for (const key of from.keys()) if (!to.received(key)) from.drop(key);
  }

  /** What has not changed over does so now. */
  finish(): void {
    const old = this.#old;
    this.#old = undefined;
    for (const key of old?.keys() ?? []) this.#changed(key);
  }

  /** A link has ended, and what came over it with it. */
  end(linkId: string): void {
    const path = this.#paths.get(linkId);
    if (!path) return;
    const keys = path.keys();
    this.#paths.delete(linkId);
    path.end();
    if (this.#using === path) this.#using = undefined;
    if (this.#old === path) this.#old = undefined;
    for (const key of keys) this.#changed(key);
  }

  /** Ends all work, and touches no media. */
  stop(): void {
    this.#old = undefined;
    for (const path of this.#paths.values()) path.stop();
  }

  /** Never rejects. */
  async #move(key: SourceKey, from: LinkPath, to: LinkPath): Promise<void> {
    const received = to.received(key);
    if (!received || !from.received(key)) return;
    const { producerId } = received;
    if (!received.paused) {
      const asked = this.#host.sfu.request('producer.flowing', { producerId, withinMs: FLOWS_WITHIN_MS });
      await asked.catch(() => undefined);
    }
    if (this.#old !== from) return;
    received.flows = true;
    await this.#show(key);
    if (this.#old === from) from.drop(key);
  }

  #changed(key: SourceKey): void {
    this.#show(key).catch((error: unknown) => {
      this.#host.conference.log.error({ err: error }, 'link: a source was not shown');
    });
  }

  /** @returns when whoever receives the source does so from the producer that is right now */
  async #show(key: SourceKey): Promise<void> {
    const now = this.#using?.received(key);
    const before = this.#old?.received(key);
    // Another name for it tells that it was published anew: then what came before is over.
    const goesOn = before && (!now || (before.remoteId === now.remoteId && !now.flows));
    const producerId = (goesOn ? before : now)?.producerId;
    if (this.#shown.get(key) === producerId) return;
    if (producerId === undefined) this.#shown.delete(key);
    else this.#shown.set(key, producerId);
    await this.#host.conference.setReceived(key, producerId);
  }

  // ---- what we want ----

  want(key: SourceKey): void {
    this.#demand.set(key, (this.#demand.get(key) ?? 0) + 1);
    this.#using?.flush();
  }

  unwant(key: SourceKey): void {
    const count = (this.#demand.get(key) ?? 0) - 1;
    if (count > 0) this.#demand.set(key, count);
    else {
      this.#demand.delete(key);
      this.#old?.drop(key);
    }
    this.#using?.flush();
  }

  /** The other side's participant sends this source, or its mute state changed. */
  sourceSeen(key: SourceKey, remoteId: string, paused: boolean): void {
    this.#old?.sourceSeen(key, remoteId, paused);
    this.#using?.sourceSeen(key, remoteId, paused);
  }

  sourceGone(key: SourceKey): void {
    this.#old?.drop(key);
    this.#using?.drop(key);
    this.#using?.flush();
  }

  /** Tells the peer that nothing is wanted over a link any more. */
  async release(linkId: string): Promise<void> {
    await this.#paths.get(linkId)?.release();
  }

  /** What our SFU says it has of a link. */
  agree(linkId: string, onSfu: Parameters<LinkPath['agree']>[0]): void {
    this.#paths.get(linkId)?.agree(onSfu);
  }

  // ---- what the other side wants ----

  /** Our own participant stopped sending; the SFU has ended it on the links by itself. */
  localSourceGone(key: SourceKey): void {
    for (const path of this.#paths.values()) path.localSourceGone(key);
  }

  /** @throws LinkError unknown-link */
  async serve(linkId: string, keys: readonly SourceKey[]): Promise<Offer[]> {
    const path = this.#paths.get(linkId);
    if (!path) throw new LinkError('unknown-link', 'no such link');
    return path.serve(keys);
  }
}
