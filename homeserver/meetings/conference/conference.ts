/**
 * One live conference as our instance sees it: everybody in it, the media of our own participants, and a link to
 * each other organisation. Rules only; HTTP, WebSockets and room events are turned into calls elsewhere.
 */
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import { KIND_OF_SOURCE, type RtpCapabilities, type Source } from '../../../protocol/media.ts';
import type { LinkState, NotificationData, NotificationName, Participant, Watch } from '../../../protocol/session.ts';
import type { SfuClient } from '../../../sfu/client.ts';
import type { RemoteSource } from './messages.ts';
import { Link, type LinkPeers } from './link.ts';
import {
  type LocalParticipant,
  type SourceKey,
  parseSourceKey,
  sourceKey,
  spatialLayerFor,
} from './local-participant.ts';
import { type CallMembership, splitParticipantId } from './membership.ts';

const MAX_EARLY = 1_000;

/** Who somebody is in the room, beyond the membership in the conference. */
export interface Person {
  displayName: string;
  role: Participant['role'];
  guest: boolean;
}

interface RemoteParticipant {
  membership: CallMembership;
  person: Person;
  sources: Map<Source, RemoteSource>;
  reconnecting: boolean;
}

export interface ConferenceDeps {
  serverName: string;
  sfu: SfuClient;
  peers: LinkPeers;
  log: Logger;
  /** Tells instances the state of these local participants; all of them where none is named. */
  announce(conference: Conference, servers: Iterable<string>, participants: Iterable<LocalParticipant>): void;
  /** Called when the first participant of an organisation appears, so that it can be introduced to the clients. */
  introduce(conference: Conference, server: string): void;
}

export class Conference {
  readonly roomId: string;
  title = '';
  readonly locals = new Map<string, LocalParticipant>();
  readonly #remotes = new Map<string, RemoteParticipant>();
  /** Role and name of our own participants in the room. */
  readonly #people = new Map<string, Person>();
  /** Every source that our SFU has, local or received: its producer there. */
  readonly #producers = new Map<SourceKey, string>();
  readonly links = new Map<string, Link>();
  /** States that came before the membership they belong to: the two travel apart. Bounded. */
  readonly #early = new Map<string, { sources: RemoteSource[]; reconnecting: boolean }>();
  readonly #deps: ConferenceDeps;

  constructor(roomId: string, deps: ConferenceDeps) {
    this.roomId = roomId;
    this.#deps = deps;
  }

  get log(): Logger {
    return this.#deps.log;
  }

  // ---- people ----

  /** Everybody, our own and others. */
  participants(): Participant[] {
    return [
      ...[...this.locals.values()].map((local) => this.describeLocal(local)),
      ...[...this.#remotes.values()].map((remote) => this.#describeRemote(remote)),
    ];
  }

  servers(): Set<string> {
    return new Set([...this.#remotes.values()].map((remote) => serverOf(remote.membership.userId)));
  }

  describeLocal(local: LocalParticipant): Participant {
    return {
      participantId: local.participantId,
      userId: local.userId,
      deviceId: local.deviceId,
      displayName: local.displayName,
      organisation: this.#deps.serverName,
      role: this.#people.get(local.participantId)?.role ?? 'participant',
      guest: local.guest,
      joinedAt: local.joinedAt,
      sources: [...local.sources].map(([source, { paused }]) => ({ source, paused })),
      presence: local.presence,
    };
  }

  #describeRemote(remote: RemoteParticipant): Participant {
    const { membership, person } = remote;
    return {
      participantId: membership.participantId,
      userId: membership.userId,
      deviceId: membership.deviceId,
      displayName: person.displayName,
      organisation: serverOf(membership.userId),
      role: person.role,
      guest: person.guest,
      joinedAt: membership.joinedAt,
      sources: [...remote.sources.values()].map(({ source, paused }) => ({ source, paused })),
      presence: remote.reconnecting ? 'reconnecting' : 'here',
    };
  }

  addLocal(local: LocalParticipant, person: Person): void {
    const known = this.locals.has(local.participantId);
    this.locals.set(local.participantId, local);
    this.#people.set(local.participantId, person);
    this.notifyOthers(local, known ? 'participant.changed' : 'participant.joined', this.describeLocal(local));
  }

  /** Takes a local participant out: its media is closed on the SFU, the others are told. */
  async removeLocal(local: LocalParticipant, reason: 'left' | 'lost' | 'removed' | 'ended'): Promise<void> {
    if (this.locals.get(local.participantId) !== local) return;
    local.gone = true;
    clearTimeout(local.graceTimer);
    this.locals.delete(local.participantId);
    this.#people.delete(local.participantId);
    this.notifyAll('participant.left', { participantId: local.participantId, reason });
    for (const source of local.sources.keys()) {
      const key = sourceKey(local.participantId, source);
      this.#producers.delete(key);
      for (const link of this.links.values()) link.localSourceGone(key);
    }
    this.#want(local, []);
    const transports = [local.sendTransportId, local.receiveTransportId];
    local.forgetMedia();
    await Promise.allSettled(
      transports
        .filter((transportId) => transportId !== undefined)
        .map((transportId) => this.#deps.sfu.request('transport.close', { transportId })),
    );
    this.reconcileAll();
    if (this.locals.size === 0) await this.closeLinks();
  }

  /** A membership of another organisation's participant was written or renewed. */
  addRemote(membership: CallMembership, person: Person): void {
    const known = this.#remotes.get(membership.participantId);
    const server = serverOf(membership.userId);
    const first = !this.servers().has(server);
    if (known) {
      known.membership = membership;
      known.person = person;
      this.notifyAll('participant.changed', this.#describeRemote(known));
      return;
    }
    const remote: RemoteParticipant = { membership, person, sources: new Map(), reconnecting: false };
    this.#remotes.set(membership.participantId, remote);
    if (first) this.#deps.introduce(this, server);
    this.notifyAll('participant.joined', this.#describeRemote(remote));
    this.ensureLinks();
    const early = this.#early.get(membership.participantId);
    this.#early.delete(membership.participantId);
    if (early) this.setRemoteState(membership.participantId, early.sources, early.reconnecting);
  }

  removeRemote(participantId: string, reason: 'left' | 'lost' | 'removed'): void {
    const remote = this.#remotes.get(participantId);
    if (!remote) return;
    this.#remotes.delete(participantId);
    const server = serverOf(remote.membership.userId);
    this.notifyAll('participant.left', { participantId, reason });
    const link = this.links.get(server);
    for (const source of remote.sources.keys()) link?.sourceGone(sourceKey(participantId, source));
    if (!this.servers().has(server)) void this.#closeLink(server);
  }

  isRemote(participantId: string): boolean {
    return this.#remotes.has(participantId);
  }

  hasParticipantsOf(server: string): boolean {
    return this.servers().has(server);
  }

  expired(now: number): string[] {
    return [...this.#remotes.values()]
      .filter((remote) => remote.membership.expiresAt <= now)
      .map((remote) => remote.membership.participantId);
  }

  /** The other organisation says what a participant of its own sends. */
  setRemoteState(participantId: string, sources: RemoteSource[], reconnecting: boolean): void {
    const remote = this.#remotes.get(participantId);
    if (!remote) {
      if (this.#early.size < MAX_EARLY) this.#early.set(participantId, { sources, reconnecting });
      return;
    }
    const link = this.links.get(serverOf(remote.membership.userId));
    const next = new Map(sources.map((source) => [source.source, source]));
    for (const source of remote.sources.keys()) {
      if (!next.has(source)) link?.sourceGone(sourceKey(participantId, source));
    }
    remote.sources = next;
    remote.reconnecting = reconnecting;
    this.notifyAll('participant.changed', this.#describeRemote(remote));
    for (const { source, id, paused } of next.values()) {
      link?.sourceSeen(sourceKey(participantId, source), id, paused);
    }
  }

  remoteSource(key: SourceKey): RemoteSource | undefined {
    const { participantId, source } = parseSourceKey(key);
    return this.#remotes.get(participantId)?.sources.get(source);
  }

  // ---- notifications ----

  notifyAll<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    for (const local of this.locals.values()) local.notifier?.notify(name, data);
  }

  notifyOthers<N extends NotificationName>(except: LocalParticipant, name: N, data: NotificationData<N>): void {
    for (const local of this.locals.values()) if (local !== except) local.notifier?.notify(name, data);
  }

  /** Tells everybody here and in the other organisations that this participant's state changed. */
  localChanged(local: LocalParticipant): void {
    this.notifyAll('participant.changed', this.describeLocal(local));
    this.#deps.announce(this, this.servers(), [local]);
  }

  // ---- own media ----

  addSource(local: LocalParticipant, source: Source, producerId: string, paused: boolean): void {
    local.sources.set(source, { producerId, paused });
    this.#producers.set(sourceKey(local.participantId, source), producerId);
    this.localChanged(local);
    this.reconcileAll();
  }

  removeSource(local: LocalParticipant, source: Source): void {
    if (!local.sources.delete(source)) return;
    const key = sourceKey(local.participantId, source);
    this.#producers.delete(key);
    for (const link of this.links.values()) link.localSourceGone(key);
    this.localChanged(local);
    this.reconcileAll();
  }

  /** A source of our own participants, as links need it. */
  localSource(key: SourceKey): { producerId: string; paused: boolean; kind: 'audio' | 'video' } | undefined {
    const { participantId, source } = parseSourceKey(key);
    const found = this.locals.get(participantId)?.sources.get(source);
    return found && { ...found, kind: KIND_OF_SOURCE[source] };
  }

  /** A link has (or no longer has) a source of another organisation. */
  setReceived(key: SourceKey, producerId: string | undefined): void {
    if (producerId) this.#producers.set(key, producerId);
    else this.#producers.delete(key);
    for (const local of this.locals.values()) if (local.wants.has(key)) this.#reconcile(local);
  }

  /** Declares all that a participant wants to see and hear. */
  watch(local: LocalParticipant, rtpCapabilities: RtpCapabilities, watch: Watch[]): void {
    local.rtpCapabilities = rtpCapabilities;
    local.declared = true;
    this.#want(local, watch);
    this.#reconcile(local);
  }

  #want(local: LocalParticipant, watch: Watch[]): void {
    const next = new Map<SourceKey, Watch>();
    for (const want of watch) {
      if (want.participantId !== local.participantId) next.set(sourceKey(want.participantId, want.source), want);
    }
    for (const key of local.wants.keys()) if (!next.has(key)) this.#linkOf(key)?.unwant(key);
    for (const key of next.keys()) if (!local.wants.has(key)) this.#linkOf(key)?.want(key);
    local.wants.clear();
    for (const [key, want] of next) local.wants.set(key, want);
  }

  /**
   * The link to the organisation that a source belongs to. By name, not by who is here now: a link must be told of
   * each wish and of its end, also when the participant has left in between.
   */
  #linkOf(key: SourceKey): Link | undefined {
    return this.links.get(splitParticipantId(parseSourceKey(key).participantId).server);
  }

  reconcileAll(): void {
    for (const local of this.locals.values()) this.#reconcile(local);
  }

  /** Makes consumers match what is wanted and what exists. One round at a time for each participant. */
  #reconcile(local: LocalParticipant): void {
    local.dirty = true;
    if (local.reconciling) return;
    local.reconciling = true;
    void (async () => {
      while (local.dirty && !local.gone) {
        local.dirty = false;
        try {
          await this.#reconcileOnce(local);
        } catch (error) {
          this.log.warn(
            { err: error, participantId: local.participantId },
            'consumers could not be brought up to date',
          );
        }
      }
      local.reconciling = false;
    })();
  }

  async #reconcileOnce(local: LocalParticipant): Promise<void> {
    if (!local.declared) return;
    const closing: Promise<unknown>[] = [];
    for (const [key, consumer] of local.consumers) {
      if (local.wants.has(key) && this.#producers.get(key) === consumer.producerId) continue;
      local.consumers.delete(key);
      local.notifier?.notify('consumer.removed', { consumerId: consumer.consumerId });
      closing.push(this.#deps.sfu.request('consumer.close', { consumerId: consumer.consumerId }));
    }
    const { receiveTransportId, rtpCapabilities } = local;
    const opening = [...local.wants].map(async ([key, want]) => {
      const producerId = this.#producers.get(key);
      if (!producerId || !receiveTransportId || !rtpCapabilities) return;
      await this.#consume(local, key, want, producerId, receiveTransportId, rtpCapabilities);
    });
    for (const result of await Promise.allSettled([...closing, ...opening])) {
      if (result.status === 'rejected') this.log.debug({ err: result.reason }, 'a consumer was not changed');
    }
  }

  async #consume(
    local: LocalParticipant,
    key: SourceKey,
    want: Watch,
    producerId: string,
    transportId: string,
    rtpCapabilities: RtpCapabilities,
  ): Promise<void> {
    const spatialLayer = spatialLayerFor(want.height);
    const layers = spatialLayer === undefined ? undefined : { spatialLayer };
    const existing = local.consumers.get(key);
    if (existing) {
      if (existing.spatialLayer === spatialLayer && existing.priority === want.priority) return;
      existing.spatialLayer = spatialLayer;
      existing.priority = want.priority;
      await this.#deps.sfu.request('consumer.prefer', {
        consumerId: existing.consumerId,
        layers,
        priority: want.priority,
      });
      return;
    }
    const made = await this.#deps.sfu.request('consumer.create', {
      transportId,
      producerId,
      rtpCapabilities,
      layers,
      priority: want.priority,
    });
    if (local.gone || local.receiveTransportId !== transportId) return;
    local.consumers.set(key, { consumerId: made.consumerId, producerId, spatialLayer, priority: want.priority });
    local.notifier?.notify('consumer.added', {
      consumerId: made.consumerId,
      kind: made.kind,
      rtpParameters: made.rtpParameters,
      producerPaused: made.producerPaused,
      participantId: want.participantId,
      source: want.source,
      producerId,
    });
  }

  /** The SFU has closed a consumer by itself. */
  consumerClosed(local: LocalParticipant, consumerId: string): void {
    for (const [key, consumer] of local.consumers) {
      if (consumer.consumerId !== consumerId) continue;
      local.consumers.delete(key);
      local.notifier?.notify('consumer.removed', { consumerId });
      this.#reconcile(local);
    }
  }

  // ---- links ----

  linkStates(): LinkState[] {
    return [...this.links.values()].map((link) => link.state);
  }

  /** One link to each organisation with participants, while we have some. */
  ensureLinks(): void {
    if (this.locals.size === 0) return;
    for (const server of this.servers()) this.link(server)?.ensure();
  }

  /** The link to an organisation that has participants here; made when there is none yet. */
  link(server: string): Link | undefined {
    const existing = this.links.get(server);
    if (existing) return existing;
    if (!this.hasParticipantsOf(server) || this.locals.size === 0) return undefined;
    const link = new Link(this, server, this.#deps);
    this.links.set(server, link);
    for (const local of this.locals.values()) {
      for (const key of local.wants.keys()) if (this.#linkOf(key) === link) link.want(key);
    }
    this.#deps.announce(this, [server], this.locals.values());
    return link;
  }

  async #closeLink(server: string): Promise<void> {
    const link = this.links.get(server);
    this.links.delete(server);
    await link?.close();
  }

  async closeLinks(): Promise<void> {
    await Promise.all([...this.links.keys()].map((server) => this.#closeLink(server)));
  }

  /** All media of this conference on our SFU is gone: everybody opens theirs anew. */
  mediaLost(reason: NotificationData<'media.restart'>['reason']): void {
    this.#producers.clear();
    for (const local of this.locals.values()) {
      local.forgetMedia();
      local.notifier?.notify('media.restart', { reason });
      this.localChanged(local);
    }
    for (const link of this.links.values()) link.mediaLost();
  }

  /** After a restart of the homeserver: the SFU still has this producer. */
  restoreProducer(participantId: string, source: Source, producerId: string): void {
    this.#producers.set(sourceKey(participantId, source), producerId);
  }
}
