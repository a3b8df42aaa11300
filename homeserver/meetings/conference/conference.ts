/**
 * One live conference as our instance sees it: everybody in it, the media of our own participants, and a link to
 * each other organisation. Rules only; HTTP, WebSockets and room events are turned into calls elsewhere.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { systemClock } from '../../base/clock.ts';
import { serverOf } from '../../../federation/event.ts';
import { KIND_OF_SOURCE, type Source } from '../../../protocol/media.ts';
import { type Signals, withoutAbsent } from '../../../protocol/modules/list.ts';
import { NO_RULES, type Rules } from '../../../protocol/modules/rules.ts';
import type { NotificationData, NotificationName, Participant } from '../../../protocol/session.ts';
import { ConferenceLinks } from './conference-links.ts';
import type { Link } from './link.ts';
import type { LinkConference, LinkDeps } from './link-ports.ts';
import {
  type LocalParticipant,
  type LocalSource,
  type SourceKey,
  parseSourceKey,
  sourceKey,
} from './local-participant.ts';
import type { CallMembership } from './membership.ts';
import type { RemoteSource } from './messages.ts';
import { refusedBy } from '../rules/reading.ts';
import { notification } from './notification.ts';
import type { ConferenceModules, ModuleConference } from './module-ports.ts';
import { describeLocal, describeRemote } from './people-shown.ts';
import { Reception } from './reception.ts';
import { type RemoteParticipant, Remotes, type RemoteState, takenFrom } from './remotes.ts';
import type { Person } from './room-facts.ts';
import type { Silence, Silenced } from './silences.ts';

/** Why a participant is out, as the others are told. */
export type LeaveReason = 'left' | 'lost' | 'removed' | 'ended';

export interface ConferenceDeps extends LinkDeps {
  log: Logger;
  /** Tells instances the state of these local participants; all of them where none is named. */
  announce(conference: Conference, servers: Iterable<string>, participants: Iterable<LocalParticipant>): void;
  /** Called when the first participant of an organisation appears, so that it can be introduced to the clients. */
  introduce(conference: Conference, server: string): void;
  /** Keeps which sources of somebody were ordered to be paused and are not taken; none when it is over. */
  silenced(conference: Conference, participantId: string, sources: Silenced): void;
  modules: Pick<ConferenceModules, 'shown' | 'peopleChanged' | 'left'>;
}

export class Conference implements LinkConference, ModuleConference {
  readonly roomId: string;
  title = '';
  /** The rules of the meeting, as they were last read. */
  rules: Rules = NO_RULES;
  /** All seats of our participants, also of those on the way in. */
  readonly #seats = new Map<string, LocalParticipant>();
  /** Those whom the others see. */
  readonly locals = new Map<string, LocalParticipant>();
  readonly #remotes = new Remotes({
    shown: (remote) => this.#deps.modules.shown(this, remote),
    silenced: (participantId, sources) => this.#deps.silenced(this, participantId, sources),
  });
  /** What our participants watch and hear. */
  readonly reception: Reception;
  readonly #links: ConferenceLinks;
  readonly #deps: ConferenceDeps;
  /** Unix ms. */
  #lastResume = 0;

  constructor(roomId: string, deps: ConferenceDeps) {
    this.roomId = roomId;
    this.#deps = deps;
    this.reception = new Reception({
      sfu: deps.sfu,
      log: deps.log,
      locals: () => this.locals.values(),
      link: (server) => this.links.get(server),
    });
    this.#links = new ConferenceLinks({
      conference: this,
      link: deps,
      isNeeded: (server) => this.locals.size > 0 && this.servers().has(server),
      wantedOf: (server) => this.reception.wantedOf(server),
      made: (server) => deps.announce(this, [server], this.locals.values()),
    });
  }

  get log(): Logger {
    return this.#deps.log;
  }

  // ---- people ----

  /** The seat of one of our participants, in the conference or on the way in. */
  seat(participantId: string): LocalParticipant | undefined {
    return this.#seats.get(participantId);
  }

  /** Whether somebody is in the conference or on the way in, here or elsewhere. */
  has(participantId: string): boolean {
    return this.#seats.has(participantId) || this.#remotes.get(participantId) !== undefined;
  }

  /** All seats of our participants. */
  seats(): LocalParticipant[] {
    return [...this.#seats.values()];
  }

  /** Somebody has a seat from now on. */
  seatTaken(local: LocalParticipant): void {
    this.#seats.set(local.participantId, local);
  }

  /** Everybody who is shown, our own and others. */
  participants(): Participant[] {
    return [
      ...[...this.locals.values()].map((local) => this.describeLocal(local)),
      ...[...this.#remotes.shown()].map((remote) => describeRemote(remote)),
    ];
  }

  /** The other organisations with participants. */
  servers(): Set<string> {
    return this.#remotes.servers();
  }

  describeLocal(local: LocalParticipant): Participant {
    return describeLocal(local, this.#deps.serverName);
  }

  /** Everybody sees from now on who has a seat. */
  addLocal(local: LocalParticipant, person: Person): void {
    const isKnown = this.locals.has(local.participantId);
    this.locals.set(local.participantId, local);
    local.displayName = person.displayName;
    local.role = person.role;
    this.notifyOthers(local, isKnown ? 'participant.changed' : 'participant.joined', this.describeLocal(local));
    this.#deps.modules.peopleChanged(this);
  }

  /** A seat was given up: at once nothing of it is left here. Its media on the SFU is closed by whoever calls this. */
  removeLocal(local: LocalParticipant, reason: LeaveReason): void {
    const { participantId } = local;
    if (this.#seats.get(participantId) !== local) return;
    this.#seats.delete(participantId);
    if (this.locals.delete(participantId)) this.notifyAll('participant.left', { participantId, reason });
    for (const source of local.sources.keys()) {
      const key = sourceKey(participantId, source);
      this.reception.setProducer(key, undefined);
      this.#links.localSourceGone(key);
    }
    this.reception.left(local);
    local.forgetMedia();
    this.reception.reconcile();
    this.#deps.modules.left(this, participantId);
  }

  /** A membership of another organisation's participant was written or renewed. */
  addRemote(membership: CallMembership, person: Person): void {
    const server = serverOf(membership.userId);
    if (this.#remotes.isEnded(membership)) return;
    const first = !this.servers().has(server);
    const refused = refusedBy(this.rules, membership.userId, person.role);
    const { remote, change } = this.#remotes.put(membership, person, refused);
    if (change === 'same') return;
    if (change === 'changed') return this.#takeAgain(remote);
    if (first) this.#deps.introduce(this, server);
    if (this.#remotes.isShown(remote)) this.notifyAll('participant.joined', describeRemote(remote));
    this.#deps.modules.peopleChanged(this);
    this.ensureLinks();
    const early = this.#remotes.takeEarly(membership.participantId);
    if (early) this.setRemoteState(membership.participantId, early);
  }

  /** Name, role or standing of somebody may have changed in the room. */
  setPerson(participantId: string, person: Person): void {
    const remote = this.#remotes.get(participantId);
    if (remote) {
      this.addRemote(remote.membership, person);
      return;
    }
    const local = this.locals.get(participantId);
    if (!local || (local.displayName === person.displayName && local.role === person.role)) return;
    local.displayName = person.displayName;
    local.role = person.role;
    this.notifyAll('participant.changed', this.describeLocal(local));
  }

  /** The rules were read: what they do not allow is not taken any more, at once. @returns whether they are others now */
  setRules(rules: Rules): boolean {
    if (isDeepStrictEqual(rules, this.rules)) return false;
    this.rules = rules;
    for (const { membership, person } of [...this.#remotes.all()]) this.addRemote(membership, person);
    this.notifyAll('rules.changed', rules);
    return true;
  }

  removeRemote(participantId: string, reason: LeaveReason): void {
    // Who comes back does so by joining anew, whatever membership stands in the room until then.
    if (reason === 'ended') this.#remotes.end(participantId);
    const remote = this.#remotes.delete(participantId, reason !== 'lost');
    if (!remote) return;
    const server = serverOf(remote.membership.userId);
    if (this.#remotes.isShown(remote)) this.notifyAll('participant.left', { participantId, reason });
    const link = this.links.get(server);
    for (const source of remote.sources.keys()) link?.sourceGone(sourceKey(participantId, source));
    if (!this.servers().has(server)) this.#links.close(server);
    this.#deps.modules.left(this, participantId);
  }

  /** The participants of a user or server of another organisation. */
  remotesOf(server: string): RemoteParticipant[] {
    return this.#remotes.of(server);
  }

  /**
   * An organisation has not answered for long: its people do not count as being here any more, until it answers again.
   * The link goes on trying.
   */
  setLost(server: string, lost: boolean): void {
    for (const remote of this.#remotes.setLost(server, lost)) {
      const { participantId } = remote.membership;
      if (lost) this.notifyAll('participant.left', { participantId, reason: 'lost' });
      else this.notifyAll('participant.joined', describeRemote(remote));
    }
    this.#deps.modules.peopleChanged(this);
    const link = this.links.get(server);
    if (!lost && link) this.notifyAll('link.changed', link.state);
  }

  expired(now: number): string[] {
    return this.#remotes.expired(now);
  }

  /** The other organisation says what a participant of its own sends. @returns whether that is news */
  setRemoteState(participantId: string, state: RemoteState): boolean {
    const before = this.#remotes.get(participantId);
    const sent = [...(before?.sources.keys() ?? [])];
    const remote = this.#remotes.setState(participantId, state);
    if (!remote) return false;
    const link = this.links.get(serverOf(remote.membership.userId));
    for (const source of sent) {
      if (!remote.sources.has(source)) link?.sourceGone(sourceKey(participantId, source));
    }
    this.#takeAgain(remote);
    return true;
  }

  /** A source of another organisation's participant is not taken any more, until that organisation has paused it. */
  silence(participantId: string, source: Source): void {
    const remote = this.#remotes.silence(participantId, source);
    if (remote) this.#takeAgain(remote);
  }

  /** What was ordered before. */
  silencedBefore(silences: readonly Silence[]): void {
    for (const remote of this.#remotes.silencedBefore(silences)) this.#takeAgain(remote);
  }

  /** What is taken of somebody may be less or more than before. */
  #takeAgain(remote: RemoteParticipant): void {
    const { participantId, userId } = remote.membership;
    const link = this.links.get(serverOf(userId));
    this.#remoteChanged(remote);
    for (const { source, id, paused, refused } of takenFrom(remote)) {
      const key = sourceKey(participantId, source);
      if (refused) link?.sourceGone(key);
      else link?.sourceSeen(key, id, paused);
    }
  }

  #remoteChanged(remote: RemoteParticipant): void {
    if (this.#remotes.isShown(remote)) this.notifyAll('participant.changed', describeRemote(remote));
  }

  remoteSource(key: SourceKey): RemoteSource | undefined {
    const { participantId, source } = parseSourceKey(key);
    const remote = this.#remotes.get(participantId);
    return remote && takenFrom(remote).find((one) => one.source === source && !one.refused);
  }

  refuses(key: SourceKey): boolean {
    const { participantId, source } = parseSourceKey(key);
    return this.#remotes.get(participantId)?.refused.includes(source) === true;
  }

  // ---- notifications ----

  notifyAll<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    const told = notification(name, data);
    for (const local of this.locals.values()) local.notifier?.tell(told);
  }

  notifyOthers<N extends NotificationName>(except: LocalParticipant, name: N, data: NotificationData<N>): void {
    const told = notification(name, data);
    for (const local of this.locals.values()) if (local !== except) local.notifier?.tell(told);
  }

  /** Tells everybody here and in the other organisations that this participant's state changed. */
  localChanged(local: LocalParticipant): void {
    this.notifyAll('participant.changed', this.describeLocal(local));
    this.#deps.announce(this, this.servers(), [local]);
  }

  setSignals(local: LocalParticipant, change: Signals): boolean {
    const signals = withoutAbsent({ ...local.signals, ...change });
    if (isDeepStrictEqual(local.signals, signals)) return false;
    local.signals = signals;
    this.localChanged(local);
    return true;
  }

  remoteSignalsChanged(): void {
    for (const remote of this.#remotes.readAgain()) this.#remoteChanged(remote);
  }

  // ---- own media ----

  addSource(local: LocalParticipant, source: Source, producerId: string, paused: boolean): void {
    local.media.sources.set(source, { producerId, paused, resumedAt: this.#resumes() });
    this.reception.setProducer(sourceKey(local.participantId, source), producerId);
    this.localChanged(local);
    this.reception.reconcile();
  }

  /** A source was paused or resumed on our SFU. */
  setPaused(local: LocalParticipant, source: LocalSource, paused: boolean): void {
    if (source.paused && !paused) source.resumedAt = this.#resumes();
    source.paused = paused;
    source.pauseDue = false;
    this.localChanged(local);
  }

  #resumes(): number {
    this.#lastResume = Math.max((this.#deps.clock ?? systemClock).now(), this.#lastResume + 1);
    return this.#lastResume;
  }

  removeSource(local: LocalParticipant, source: Source): void {
    if (!local.media.sources.delete(source)) return;
    const key = sourceKey(local.participantId, source);
    this.reception.setProducer(key, undefined);
    this.#links.localSourceGone(key);
    this.localChanged(local);
    this.reception.reconcile();
  }

  /** A source of our own participants, as links need it. */
  localSource(key: SourceKey): { producerId: string; paused: boolean; kind: 'audio' | 'video' } | undefined {
    const { participantId, source } = parseSourceKey(key);
    const found = this.locals.get(participantId)?.sources.get(source);
    return found && { ...found, kind: KIND_OF_SOURCE[source] };
  }

  setReceived(key: SourceKey, producerId: string | undefined): Promise<void> {
    return this.reception.received(key, producerId);
  }

  // ---- links ----

  get links(): ReadonlyMap<string, Link> {
    return this.#links.all;
  }

  ensureLinks(): void {
    if (this.locals.size === 0) return;
    for (const server of this.servers()) this.link(server)?.ensure();
  }

  link(server: string): Link | undefined {
    return this.#links.to(server);
  }

  closeLinks(): void {
    this.#links.closeAll();
  }

  /** Everybody of a server that may not be here any more, and the link to it, are out at once. */
  shutOut(server: string, reason: LeaveReason = 'removed'): void {
    for (const { membership } of this.#remotes.of(server)) this.removeRemote(membership.participantId, reason);
    this.#links.close(server);
  }

  /** All media of this conference on our SFU is gone: everybody opens theirs anew. */
  mediaLost(reason: NotificationData<'media.restart'>['reason']): void {
    this.reception.lost();
    for (const local of this.seats()) {
      local.forgetMedia();
      local.notifier?.notify('media.restart', { reason });
    }
    for (const local of this.locals.values()) this.localChanged(local);
    for (const link of this.links.values()) link.mediaLost();
  }
}
