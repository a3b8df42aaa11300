/**
 * All live conferences of this instance: joining and leaving, room events and EDUs of other instances, what the SFU
 * reports, and finding everything again after a restart of the homeserver or of the SFU.
 */
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import { stateKey } from '../../../federation/auth-rules.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { displayTitle } from '../../../protocol/display-text.ts';
import type { ConferenceSnapshot, MediaOpened } from '../../../protocol/session.ts';
import type { SfuClient } from '../../../sfu/client.ts';
import type { SfuSnapshot } from '../../../sfu/protocol.ts';
import { MatrixError } from '../../errors.ts';
import { CALL_MEMBER, CONFERENCE_EDU, GUEST_FIELD } from '../../names.ts';
import type { Sender } from '../../rooms/ports.ts';
import type { Rooms, StoredEvent } from '../../rooms/rooms.ts';
import type { Organisations } from '../organisations.ts';
import { isGuest, nameIn } from '../people.ts';
import { Conference, type Person } from './conference.ts';
import type { LinkPeers } from './link.ts';
import { LocalParticipant, type Notifier, sourceKey, type SourceKey } from './local-participant.ts';
import {
  joinedContent,
  membershipKey,
  MEMBERSHIP_EXPIRES_MS,
  participantIdOf,
  readMembership,
  splitParticipantId,
} from './membership.ts';
import { conferenceEduSchema } from './messages.ts';
import type { Places } from './places.ts';

/** How long clients have to come back after a restart of the homeserver, in ms. */
const RESTART_GRACE_MS = 20_000;
/** How often memberships are renewed and expired ones removed, in ms. */
const UPKEEP_MS = 10 * 60 * 1000;

export interface ConferencesOptions {
  serverName: string;
  rooms: Rooms;
  sfu: SfuClient;
  sender: Sender;
  organisations: Organisations;
  peers: LinkPeers;
  places: Places;
  log: Logger;
  /** The number of people in a conference changed between none and some. */
  onLive(roomId: string): void;
}

export interface Joiner {
  userId: string;
  deviceId: string;
  guest: boolean;
  notifier: Notifier;
}

export class Conferences {
  readonly #options: ConferencesOptions;
  readonly #conferences = new Map<string, Conference>();
  /** Local participants by their transports, for what the SFU reports. */
  readonly #byTransport = new Map<string, { conference: Conference; local: LocalParticipant }>();
  readonly #stop: (() => void)[] = [];
  #instanceId: string | undefined;

  constructor(options: ConferencesOptions) {
    this.#options = options;
    const { rooms, sfu } = options;
    this.#stop.push(
      rooms.onEvent((event) => {
        void this.#onRoomEvent(event).catch((error: unknown) =>
          options.log.error({ err: error, eventId: event.eventId }, 'conference: a room event was not applied'),
        );
      }),
    );
    this.#listenToSfu(sfu);
    const upkeep = setInterval(() => void this.#upkeep(), UPKEEP_MS);
    upkeep.unref();
    this.#stop.push(() => clearInterval(upkeep));
  }

  get(roomId: string): Conference | undefined {
    return this.#conferences.get(roomId);
  }

  /** The conferences that a participant of this user and device is in. */
  placeOf(userId: string, deviceId: string): { conference: Conference; local: LocalParticipant } | undefined {
    const participantId = participantIdOf(userId, deviceId);
    for (const conference of this.#conferences.values()) {
      const local = conference.locals.get(participantId);
      if (local) return { conference, local };
    }
    return undefined;
  }

  /** How many devices are in the conference of a room, here and elsewhere, by the room's state. */
  liveCount(state: ReadonlyMap<string, StoredEvent>): number {
    const now = Date.now();
    let count = 0;
    for (const event of state.values()) if (readMembership(event.pdu, now)) count += 1;
    return count;
  }

  // ---- joining and leaving ----

  /**
   * Enters a device into the conference.
   * @param keep transports and consumers that the client still has, when it comes back
   * @throws MatrixError 403 when the user is not a member of the room; SfuError when there is no SFU
   */
  async join(
    roomId: string,
    joiner: Joiner,
    keep?: { send: string; receive: string; consumers: string[] },
  ): Promise<{ snapshot: ConferenceSnapshot; local: LocalParticipant; conference: Conference }> {
    const { rooms, organisations } = this.#options;
    const membership = await rooms.membership(roomId, joiner.userId);
    if (membership === 'invite') await rooms.join(joiner.userId, roomId);
    else if (membership !== 'join') throw new MatrixError(403, 'M_FORBIDDEN', 'You are not a member of this meeting.');
    await rooms.whole(roomId);
    const conference = await this.#open(roomId);
    const participantId = participantIdOf(joiner.userId, joiner.deviceId);
    const before = conference.locals.get(participantId);
    if (before && before.notifier && before.notifier !== joiner.notifier) {
      before.notifier.notify('conference.ended', { reason: 'joined-elsewhere' });
    }
    const person = await this.#person(roomId, joiner.userId, joiner.guest);
    const local =
      before ??
      new LocalParticipant({
        participantId,
        userId: joiner.userId,
        deviceId: joiner.deviceId,
        guest: joiner.guest,
        displayName: person.displayName,
        joinedAt: Date.now(),
      });
    clearTimeout(local.graceTimer);
    local.displayName = person.displayName;
    local.notifier = joiner.notifier;
    local.presence = 'here';
    const kept = keep !== undefined && local.sendTransportId === keep.send && local.receiveTransportId === keep.receive;
    if (kept) this.#keepConsumers(conference, local, keep.consumers);
    const [media] = await Promise.all([
      kept ? undefined : this.openMedia(conference, local),
      before ? undefined : this.#writeMembership(roomId, local),
    ]);
    conference.addLocal(local, person);
    conference.ensureLinks();
    if (before) this.announce(conference, conference.servers(), [local]);
    const servers = [this.#options.serverName, ...conference.servers()];
    const snapshot: ConferenceSnapshot = {
      roomId,
      title: conference.title,
      canInvite: await rooms.mayInvite(roomId, joiner.userId),
      me: participantId,
      participants: conference.participants(),
      organisations: servers.map((server) => organisations.known(server)),
      links: conference.linkStates(),
      ...(media ? { media } : {}),
    };
    if (!before && conference.participants().length === 1) this.#options.onLive(roomId);
    return { snapshot, local, conference };
  }

  /** New transports for a participant; those it had are closed. */
  async openMedia(conference: Conference, local: LocalParticipant): Promise<MediaOpened> {
    const { sfu } = this.#options;
    const conferenceId = conference.roomId;
    const old = [local.sendTransportId, local.receiveTransportId];
    for (const source of [...local.sources.keys()]) conference.removeSource(local, source);
    local.forgetMedia();
    for (const transportId of old) {
      if (!transportId) continue;
      this.#byTransport.delete(transportId);
      sfu.request('transport.close', { transportId }).catch(() => undefined);
    }
    const { rtpCapabilities } = await sfu.request('conference.open', { conferenceId });
    const [send, receive] = await Promise.all(
      (['send', 'receive'] as const).map((direction) =>
        sfu.request('transport.create', { conferenceId, participantId: local.participantId, direction }),
      ),
    );
    if (!send || !receive) throw new Error('the SFU made no transports');
    local.sendTransportId = send.id;
    local.receiveTransportId = receive.id;
    this.#byTransport.set(send.id, { conference, local });
    this.#byTransport.set(receive.id, { conference, local });
    return { rtpCapabilities, send, receive };
  }

  async leave(
    conference: Conference,
    local: LocalParticipant,
    reason: 'left' | 'lost' | 'removed' | 'ended',
  ): Promise<void> {
    const { rooms, places, log } = this.#options;
    if (conference.locals.get(local.participantId) !== local) return;
    for (const id of [local.sendTransportId, local.receiveTransportId]) if (id) this.#byTransport.delete(id);
    const media = conference.removeLocal(local, reason);
    const { roomId } = conference;
    try {
      await rooms.send(roomId, local.userId, {
        type: CALL_MEMBER,
        stateKey: membershipKey(local.userId, local.deviceId),
        content: {},
      });
    } catch (error) {
      // Somebody removed from the room may not write there any more; the removal itself says that the place is free.
      log.info({ err: error, roomId }, 'conference: the leave was not written');
    }
    await places.remove(roomId, local.userId, local.deviceId);
    await media;
    await this.#closeIfEmpty(conference);
  }

  /** The session of a participant dropped: it keeps its place until the session expires. */
  sessionDropped(conference: Conference, local: LocalParticipant): void {
    if (local.gone) return;
    local.presence = 'reconnecting';
    conference.localChanged(local);
  }

  sessionResumed(conference: Conference, local: LocalParticipant): void {
    local.presence = 'here';
    conference.localChanged(local);
  }

  #keepConsumers(conference: Conference, local: LocalParticipant, consumers: string[]): void {
    const have = new Set(consumers);
    for (const [key, consumer] of local.consumers) {
      if (have.has(consumer.consumerId)) continue;
      local.consumers.delete(key);
      this.#options.sfu.request('consumer.close', { consumerId: consumer.consumerId }).catch(() => undefined);
    }
    const known = new Set([...local.consumers.values()].map((consumer) => consumer.consumerId));
    for (const consumerId of have)
      if (!known.has(consumerId)) local.notifier?.notify('consumer.removed', { consumerId });
    conference.reconcileAll();
  }

  async #writeMembership(roomId: string, local: LocalParticipant): Promise<void> {
    const { rooms, places, serverName } = this.#options;
    await places.add(roomId, local.userId, local.deviceId, local.joinedAt);
    await rooms.send(roomId, local.userId, {
      type: CALL_MEMBER,
      stateKey: membershipKey(local.userId, local.deviceId),
      content: joinedContent({ deviceId: local.deviceId, serverName, joinedAt: local.joinedAt, guest: local.guest }),
    });
  }

  // ---- rooms ----

  async #open(roomId: string): Promise<Conference> {
    const existing = this.#conferences.get(roomId);
    if (existing) return existing;
    const { serverName, sfu, peers, log, rooms, sender } = this.#options;
    const state = await rooms.state(roomId);
    const raced = this.#conferences.get(roomId);
    if (raced) return raced;
    const conference = new Conference(roomId, {
      serverName,
      sfu,
      peers,
      log: log.child({ roomId }),
      announce: (of, servers, participants) => this.announce(of, servers, participants),
      introduce: (of, server) => {
        void this.#options.organisations
          .info(server)
          .then((organisation) => of.notifyAll('organisation.seen', organisation));
      },
    });
    this.#conferences.set(roomId, conference);
    conference.title = titleOf(state);
    const now = Date.now();
    for (const event of state.values()) {
      const membership = readMembership(event.pdu, now);
      if (!membership || serverOf(membership.userId) === serverName) continue;
      if (!isJoined(state, membership.userId)) continue;
      conference.addRemote(membership, await this.#person(roomId, membership.userId, membership.guest));
    }
    if (conference.servers().size > 0) {
      sender.edu(conference.servers(), CONFERENCE_EDU, { room_id: roomId, resend: true });
    }
    return conference;
  }

  async #closeIfEmpty(conference: Conference): Promise<void> {
    const { roomId } = conference;
    if (conference.locals.size > 0 || this.#conferences.get(roomId) !== conference) return;
    this.#conferences.delete(roomId);
    await conference.closeLinks();
    await this.#options.sfu.request('conference.close', { conferenceId: roomId }).catch(() => undefined);
    this.#options.onLive(roomId);
  }

  async #person(roomId: string, userId: string, saidGuest: boolean): Promise<Person> {
    const { rooms } = this.#options;
    const [member, create, power] = await Promise.all([
      rooms.stateEvent(roomId, 'm.room.member', userId),
      rooms.stateEvent(roomId, 'm.room.create', ''),
      rooms.powerLevel(roomId, userId),
    ]);
    const owner = create?.pdu.sender === userId;
    const guest = saidGuest || isGuest(userId, member?.pdu, this.#options.serverName);
    return {
      displayName: nameIn(member?.pdu, userId),
      role: owner ? 'owner' : power >= 50 ? 'moderator' : guest ? 'guest' : 'participant',
      guest,
    };
  }

  async #onRoomEvent(event: StoredEvent): Promise<void> {
    const conference = this.#conferences.get(event.roomId);
    const { pdu } = event;
    if (!conference || pdu.state_key === undefined) return;
    if (pdu.type === CALL_MEMBER) await this.#onMembership(conference, event);
    else if (pdu.type === 'm.room.name') conference.title = displayTitle(pdu.content['name']) ?? '';
    else if (pdu.type === 'm.room.member') await this.#onMember(conference, pdu.state_key, pdu.content['membership']);
  }

  async #onMembership(conference: Conference, event: StoredEvent): Promise<void> {
    const { pdu } = event;
    if (serverOf(pdu.sender) === this.#options.serverName) return;
    // Forks resolve: what counts is the room's current state, not the event that was stored last.
    const current = await this.#options.rooms.stateEvent(event.roomId, CALL_MEMBER, pdu.state_key ?? '');
    if (!current) return;
    const membership = readMembership(current.pdu, Date.now());
    if (membership) {
      conference.addRemote(
        membership,
        await this.#person(event.roomId, membership.userId, current.pdu.content[GUEST_FIELD] === true),
      );
      return;
    }
    const prefix = `_${current.pdu.sender}_`;
    const suffix = '_m.call';
    const key = current.pdu.state_key ?? '';
    if (!key.startsWith(prefix) || !key.endsWith(suffix)) return;
    conference.removeRemote(participantIdOf(current.pdu.sender, key.slice(prefix.length, -suffix.length)), 'left');
  }

  /** Who is no longer in the room is no longer in its conference, whatever his own instance says. */
  async #onMember(conference: Conference, userId: string, membership: unknown): Promise<void> {
    if (membership === 'join') return;
    const current = await this.#options.rooms.membership(conference.roomId, userId);
    if (current === 'join') return;
    for (const local of [...conference.locals.values()]) {
      if (local.userId !== userId) continue;
      local.notifier?.notify('conference.ended', { reason: 'removed' });
      await this.leave(conference, local, 'removed');
    }
    for (const { participantId, userId: other } of conference.participants()) {
      if (other === userId) conference.removeRemote(participantId, 'removed');
    }
  }

  // ---- other instances ----

  /** Tells instances what these participants of ours send. EDUs are small and may be lost: `resend` repairs. */
  announce(conference: Conference, servers: Iterable<string>, participants: Iterable<LocalParticipant>): void {
    const destinations = [...servers];
    if (destinations.length === 0) return;
    const content: JsonObject = {
      room_id: conference.roomId,
      participants: [...participants].map((local) => ({
        user_id: local.userId,
        device_id: local.deviceId,
        sources: [...local.sources].map(([source, { producerId, paused }]) => ({ source, id: producerId, paused })),
        ...(local.presence === 'reconnecting' ? { reconnecting: true } : {}),
      })),
    };
    this.#options.sender.edu(destinations, CONFERENCE_EDU, content);
  }

  /** An EDU of another instance; it may speak for its own people only, in rooms that they are in. */
  async onEdu(origin: string, content: JsonObject): Promise<void> {
    const parsed = conferenceEduSchema.safeParse(content);
    if (!parsed.success) return;
    const edu = parsed.data;
    const conference = this.#conferences.get(edu.room_id);
    if (!conference) return;
    if (!(await this.#options.rooms.joinedServers(edu.room_id)).has(origin)) return;
    for (const said of edu.participants ?? []) {
      const participantId = participantIdOf(said.user_id, said.device_id);
      if (splitParticipantId(participantId).server !== origin) continue;
      conference.setRemoteState(participantId, said.sources, said.reconnecting === true);
    }
    if (edu.resend) this.announce(conference, [origin], conference.locals.values());
    if (edu.relink) conference.link(origin)?.reopen();
  }

  // ---- SFU ----

  #listenToSfu(sfu: SfuClient): void {
    this.#stop.push(
      sfu.on('conference.lost', ({ conferenceIds }) => {
        for (const id of conferenceIds) this.#conferences.get(id)?.mediaLost('worker-died');
      }),
      sfu.on('consumer.closed', ({ consumerId, transportId }) => {
        const place = this.#byTransport.get(transportId);
        place?.conference.consumerClosed(place.local, consumerId);
      }),
      sfu.on('consumer.layers', ({ consumerId, transportId, layers }) => {
        this.#byTransport.get(transportId)?.local.notifier?.notify('consumer.layers', { consumerId, layers });
      }),
      sfu.on('speaking', ({ conferenceId, participantIds }) => {
        this.#conferences.get(conferenceId)?.notifyAll('speaking', { participantIds });
      }),
      sfu.on('producer.closed', ({ conferenceId, producerId }) => {
        const conference = this.#conferences.get(conferenceId);
        if (!conference) return;
        for (const local of conference.locals.values()) {
          for (const [source, held] of local.sources) {
            if (held.producerId === producerId) conference.removeSource(local, source);
          }
        }
      }),
      sfu.on('link.state', ({ conferenceId, peer, linkId, state, roundTripMs, loss }) => {
        this.#conferences.get(conferenceId)?.links.get(peer)?.probed(linkId, state, roundTripMs, loss);
      }),
      sfu.onState(({ connected, hello }) => {
        if (!connected || !hello) {
          for (const conference of this.#conferences.values()) {
            conference.notifyAll('media.service', { available: false });
          }
          return;
        }
        const fresh = this.#instanceId === undefined;
        const same = this.#instanceId === hello.instanceId;
        this.#instanceId = hello.instanceId;
        void this.#repair(fresh, same, hello.snapshot).catch((error: unknown) =>
          this.#options.log.error({ err: error }, 'conference: the state of the SFU could not be taken over'),
        );
      }),
    );
  }

  /**
   * The SFU is there (again). After a restart of the homeserver its snapshot is the truth about media; after a
   * restart of the SFU everybody opens media anew; after a mere break of the control line only what is gone does.
   */
  async #repair(fresh: boolean, same: boolean, snapshot: SfuSnapshot): Promise<void> {
    if (fresh) await this.#restore(snapshot);
    const alive = new Set(snapshot.conferences.map((conference) => conference.conferenceId));
    for (const [roomId, conference] of this.#conferences) {
      if (!fresh) conference.notifyAll('media.service', { available: true });
      if (!same && !fresh) conference.mediaLost('sfu-lost');
      else if (same && !alive.has(roomId)) conference.mediaLost('worker-died');
    }
    for (const conferenceId of alive) {
      if (this.#conferences.has(conferenceId)) continue;
      await this.#options.sfu.request('conference.close', { conferenceId }).catch(() => undefined);
    }
  }

  /** Takes over the places that our participants held when the homeserver ended, and their media. */
  async #restore(snapshot: SfuSnapshot): Promise<void> {
    const { places, rooms, log } = this.#options;
    for (const place of await places.all()) {
      const state = await rooms.state(place.roomId).catch(() => undefined);
      if (!state || !isJoined(state, place.userId)) {
        await places.remove(place.roomId, place.userId, place.deviceId);
        continue;
      }
      const conference = await this.#open(place.roomId);
      const participantId = participantIdOf(place.userId, place.deviceId);
      if (conference.locals.has(participantId)) continue;
      const own = state.get(stateKey(CALL_MEMBER, membershipKey(place.userId, place.deviceId)));
      const guest = own?.pdu.content[GUEST_FIELD] === true;
      const person = await this.#person(place.roomId, place.userId, guest);
      const local = new LocalParticipant({ ...place, participantId, guest, displayName: person.displayName });
      this.#restoreMedia(conference, local, snapshot);
      conference.addLocal(local, person);
      this.sessionDropped(conference, local);
      local.graceTimer = setTimeout(() => void this.leave(conference, local, 'lost'), RESTART_GRACE_MS);
    }
    for (const found of snapshot.conferences) this.#restoreLinks(found);
    for (const conference of this.#conferences.values()) conference.ensureLinks();
    log.info({ conferences: this.#conferences.size }, 'conference: places taken over');
  }

  #restoreMedia(conference: Conference, local: LocalParticipant, snapshot: SfuSnapshot): void {
    const found = snapshot.conferences.find((candidate) => candidate.conferenceId === conference.roomId);
    if (!found) return;
    for (const transport of found.transports) {
      if (transport.participantId !== local.participantId) continue;
      if (transport.direction === 'send') local.sendTransportId = transport.transportId;
      else local.receiveTransportId = transport.transportId;
      this.#byTransport.set(transport.transportId, { conference, local });
    }
    const producers = new Map(found.producers.map((producer) => [producer.producerId, producer]));
    for (const producer of found.producers) {
      if (producer.transportId !== local.sendTransportId || producer.transportId === undefined) continue;
      local.sources.set(producer.source, { producerId: producer.producerId, paused: producer.paused });
      conference.restoreProducer(local.participantId, producer.source, producer.producerId);
    }
    for (const consumer of found.consumers) {
      const producer = producers.get(consumer.producerId);
      if (consumer.transportId !== local.receiveTransportId || !producer) continue;
      local.consumers.set(sourceKey(producer.participantId, producer.source), {
        consumerId: consumer.consumerId,
        producerId: consumer.producerId,
        spatialLayer: undefined,
        priority: undefined,
      });
    }
  }

  #restoreLinks(found: SfuSnapshot['conferences'][number]): void {
    const conference = this.#conferences.get(found.conferenceId);
    for (const { linkId, peer, connected, sending: sent } of found.links) {
      const link = connected ? conference?.link(peer) : undefined;
      if (!conference || !link || link.linkId) {
        this.#options.sfu.request('link.close', { linkId }).catch(() => undefined);
        continue;
      }
      const received = new Map<SourceKey, { producerId: string; remoteId: string }>();
      const sending = new Map<SourceKey, string>();
      for (const { linkId: from, participantId, source, producerId, remoteId } of found.producers) {
        if (sent.includes(producerId)) sending.set(sourceKey(participantId, source), producerId);
        if (from !== linkId) continue;
        received.set(sourceKey(participantId, source), { producerId, remoteId: remoteId ?? '' });
        conference.restoreProducer(participantId, source, producerId);
      }
      link.restore(linkId, received, sending);
    }
  }

  // ---- upkeep ----

  async #upkeep(): Promise<void> {
    const now = Date.now();
    for (const conference of this.#conferences.values()) {
      for (const participantId of conference.expired(now)) conference.removeRemote(participantId, 'lost');
      for (const local of conference.locals.values()) {
        if (now - local.joinedAt < MEMBERSHIP_EXPIRES_MS / 2) continue;
        local.joinedAt = now;
        await this.#writeMembership(conference.roomId, local).catch((error: unknown) =>
          this.#options.log.warn({ err: error }, 'conference: a membership was not renewed'),
        );
      }
    }
  }

  /** Stops listening. Media and memberships stay: a restart takes them over. */
  close(): void {
    for (const stop of this.#stop) stop();
    for (const conference of this.#conferences.values()) {
      for (const local of conference.locals.values()) clearTimeout(local.graceTimer);
      for (const link of conference.links.values()) link.stop();
    }
  }
}

function isJoined(state: ReadonlyMap<string, StoredEvent>, userId: string): boolean {
  return state.get(stateKey('m.room.member', userId))?.pdu.content['membership'] === 'join';
}

/** The name of a meeting, or an empty text. */
export function titleOf(state: ReadonlyMap<string, StoredEvent>): string {
  return displayTitle(state.get(stateKey('m.room.name', ''))?.pdu.content['name']) ?? '';
}
