/**
 * All live conferences of this instance: joining and leaving, room events and EDUs of other instances, what the SFU
 * reports, and finding everything again after a restart of the homeserver or of the SFU.
 */
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import { stateKey } from '../../../federation/auth-rules.ts';
import { serverAllowed } from '../../../federation/server-acl.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { displayTitle } from '../../../protocol/display-text.ts';
import type { ConferenceSnapshot } from '../../../protocol/session.ts';
import type { SfuClient } from '../../../sfu/client.ts';
import type { SfuSnapshot } from '../../../sfu/protocol.ts';
import { MatrixError } from '../../base/errors.ts';
import { CALL_MEMBER, CONFERENCE_EDU, GUEST_FIELD } from '../../base/names.ts';
import type { LocalRights, Sender } from '../../engine/rooms/ports.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { Serial } from '../../base/serial.ts';
import type { Organisations } from '../organisations.ts';
import { isGuest, nameIn } from '../people.ts';
import { ADMISSION_RULES, checkAdmission } from './admission.ts';
import { Announcer } from './announcer.ts';
import { Conference, type Person } from './conference.ts';
import { EduBudget } from './edu-budget.ts';
import type { Link } from './link.ts';
import type { LinkPeers } from './link-ports.ts';
import { LocalParticipant, type Notifier } from './local-participant.ts';
import {
  type CallMembership,
  membershipKey,
  MEMBERSHIP_EXPIRES_MS,
  ownerOfKey,
  participantIdOf,
  readMembership,
  splitParticipantId,
} from './membership.ts';
import { conferenceEduSchema } from './messages.ts';
import type { Places } from './places.ts';
import { Reachability } from './reachability.ts';
import { SeatMedia } from './seat-media.ts';
import { type Joiner, type KeptMedia, Seats } from './seats.ts';
import { closeStrays, restoreLinks, restoreMedia } from './sfu-snapshot.ts';
import { unexpected } from '../../base/log.ts';

/** How long clients have to come back after a restart of the homeserver, in ms. */
const RESTART_GRACE_MS = 20_000;
/** How often expired memberships are looked for, and the right of everybody here is checked once more, in ms. */
const UPKEEP_MS = 60 * 1000;
/** What changes something that people in a conference see of its room. */
const FOLLOWED = new Set(['m.room.name', 'm.room.member', 'm.room.power_levels', 'm.room.redaction']);

export interface ConferencesOptions {
  serverName: string;
  rooms: Rooms;
  /** What the accounts of our people allow. */
  rights: LocalRights;
  sfu: SfuClient;
  sender: Sender;
  organisations: Organisations;
  peers: LinkPeers;
  places: Places;
  log: Logger;
  /** The number of people in a conference changed between none and some. */
  onLive(roomId: string): void;
}

export class Conferences {
  readonly #options: ConferencesOptions;
  readonly #conferences = new Map<string, Conference>();
  readonly #media: SeatMedia;
  /** The seats of our own participants. */
  readonly seats: Seats;
  readonly #announcer: Announcer;
  readonly #budget = new EduBudget();
  /** Memberships of other organisations are applied one after the other for each key, from the state of that moment. */
  readonly #membershipTurns = new Serial();
  readonly #following = new Serial();
  readonly reachability: Reachability;
  readonly #stop: (() => void)[] = [];
  #instanceId: string | undefined;

  constructor(options: ConferencesOptions) {
    this.#options = options;
    const { rooms, sfu, places, log, serverName, organisations } = options;
    this.#announcer = new Announcer(options.sender);
    this.#media = new SeatMedia(sfu);
    this.seats = new Seats({
      serverName,
      rooms,
      places,
      media: this.#media,
      log,
      current: (roomId) => this.#conferences.get(roomId),
      open: (roomId) => this.#open(roomId),
      check: (roomId, joiner) => checkAdmission(options, roomId, joiner),
      person: (roomId, userId, guest) => this.#person(roomId, userId, guest),
      vacated: (conference) => this.#closeIfEmpty(conference),
    });
    this.reachability = new Reachability({
      ask: (server) => organisations.ask(server),
      onChange: (server, lost, shownIn) => this.#reachabilityChanged(server, lost, shownIn),
    });
    this.#stop.push(
      rooms.onEvent((event) => {
        this.#onRoomEvent(event).catch((error: unknown) =>
          log.error({ err: error, eventId: event.eventId }, 'conference: a room event was not applied'),
        );
      }),
    );
    this.#listenToSfu(sfu);
    const upkeep = setInterval(() => {
      this.#upkeep().catch((error: unknown) => log.warn({ err: error }, 'conference: the upkeep failed'));
    }, UPKEEP_MS);
    upkeep.unref();
    this.#stop.push(() => clearInterval(upkeep));
  }

  get(roomId: string): Conference | undefined {
    return this.#conferences.get(roomId);
  }

  /** How many devices are in the conference of a room, here and elsewhere, by the room's state. */
  liveCount(state: ReadonlyMap<string, StoredEvent>): number {
    let count = 0;
    for (const { event, membership } of this.#memberships(state)) {
      const server = serverOf(membership.userId);
      if (server !== this.#options.serverName) this.reachability.look(server, event.roomId);
      if (!this.reachability.isLost(server)) count += 1;
    }
    return count;
  }

  /** The memberships in a room's state that count: of people in the room, whose server is not shut out. */
  *#memberships(state: ReadonlyMap<string, StoredEvent>): Iterable<{ event: StoredEvent; membership: CallMembership }> {
    const acl = state.get(stateKey('m.room.server_acl', ''))?.pdu.content;
    for (const event of state.values()) {
      const membership = this.#membershipOf(event);
      if (!membership || !isJoined(state, membership.userId)) continue;
      if (serverAllowed(acl, serverOf(membership.userId))) yield { event, membership };
    }
  }

  /** Times in a membership are of its sender's clock, so its end is, too. */
  #membershipOf({ pdu }: StoredEvent): CallMembership | undefined {
    if (pdu.type !== CALL_MEMBER) return undefined;
    const ahead = this.#options.organisations.clockAhead(serverOf(pdu.sender));
    const membership = readMembership(pdu, Date.now() + ahead);
    if (!membership || ahead === 0) return membership;
    return { ...membership, joinedAt: membership.joinedAt - ahead, expiresAt: membership.expiresAt - ahead };
  }

  // ---- our own participants ----

  /**
   * Enters a device into the conference.
   * @param keep transports and consumers that the client still has, when it comes back
   * @throws MatrixError 403 when the user may not be there; SeatError when the seat was taken away meanwhile; SfuError
   *   when there is no SFU
   */
  async join(roomId: string, joiner: Joiner, keep?: KeptMedia): Promise<ConferenceSnapshot> {
    const { rooms, organisations, serverName } = this.#options;
    if ((await rooms.membership(roomId, joiner.userId)) === 'invite') await rooms.join(joiner.userId, roomId);
    await checkAdmission(this.#options, roomId, joiner);
    await rooms.whole(roomId);
    const { conference, local, isNew, media } = await this.seats.join(roomId, joiner, keep);
    local.canInvite = await rooms.mayInvite(roomId, joiner.userId);
    conference.ensureLinks();
    if (!isNew) this.#announcer.announce(conference, conference.servers(), [local]);
    if (isNew && conference.participants().length === 1) this.#options.onLive(roomId);
    return {
      roomId,
      title: conference.title,
      canInvite: local.canInvite,
      me: local.participantId,
      participants: conference.participants(),
      organisations: [serverName, ...conference.servers()].map((server) => organisations.known(server)),
      links: conference.linkStates(),
      ...(media ? { media } : {}),
    };
  }

  /** The media of a seat, for requests that run in its turn. */
  get media(): SeatMedia {
    return this.#media;
  }

  /** The session of a participant dropped: it keeps its place until the session expires. */
  sessionDropped(holder: Notifier): void {
    this.#setPresence(holder, 'reconnecting');
  }

  sessionResumed(holder: Notifier): void {
    this.#setPresence(holder, 'here');
  }

  #setPresence(holder: Notifier, presence: LocalParticipant['presence']): void {
    const seat = this.seats.of(holder);
    if (!seat || seat.local.presence === presence) return;
    seat.local.presence = presence;
    seat.conference.localChanged(seat.local);
  }

  /** A device was logged out, or its account suspended, locked or ended. Never rejects. */
  async endDevice(userId: string, deviceId: string): Promise<void> {
    const participantId = participantIdOf(userId, deviceId);
    await this.#removeAll((local) => local.participantId === participantId, 'signed-out');
  }

  /** Takes the seats of a user of ours in a room away. Never rejects. */
  async endUser(roomId: string, userId: string, ended: 'removed' | 'ended'): Promise<void> {
    await this.#removeAll((local, conference) => conference.roomId === roomId && local.userId === userId, ended);
  }

  /** All are out at once; then it is written. */
  async #removeAll(
    which: (local: LocalParticipant, conference: Conference) => boolean,
    ended: 'removed' | 'ended' | 'signed-out',
  ): Promise<void> {
    const seats = [...this.#conferences.values()].flatMap((conference) =>
      conference
        .seats()
        .filter((local) => which(local, conference))
        .map((local) => ({ conference, local })),
    );
    await Promise.all(seats.map((seat) => this.seats.remove(seat, ended)));
  }

  // ---- rooms ----

  async #open(roomId: string): Promise<Conference> {
    const existing = this.#conferences.get(roomId);
    if (existing) return existing;
    const { serverName, sfu, peers, log, rooms, sender, organisations } = this.#options;
    const state = await rooms.state(roomId);
    const raced = this.#conferences.get(roomId);
    if (raced) return raced;
    const conference = new Conference(roomId, {
      serverName,
      sfu,
      peers,
      reachability: this.reachability,
      log: log.child({ roomId }),
      announce: (of, servers, participants) => this.#announcer.announce(of, servers, participants),
      introduce: (of, server) => {
        organisations.info(server).then(
          (organisation) => of.notifyAll('organisation.seen', organisation),
          (error: unknown) => log.warn({ err: error }, 'conference: an organisation was not introduced'),
        );
      },
    });
    this.#conferences.set(roomId, conference);
    conference.title = titleOf(state);
    const others = [...this.#memberships(state)].filter(({ membership }) => serverOf(membership.userId) !== serverName);
    await Promise.all(others.map(({ event }) => this.#onMembership(conference, event.pdu.state_key ?? '')));
    if (conference.servers().size > 0) {
      sender.edu(conference.servers(), CONFERENCE_EDU, { room_id: roomId, resend: true });
    }
    return conference;
  }

  /** The media server is told first, on a line that keeps the order: who opens the conference again gets another. */
  #closeIfEmpty(conference: Conference): void {
    const { roomId } = conference;
    if (conference.locals.size > 0 || conference.entering.size > 0) return;
    if (this.#conferences.get(roomId) !== conference) return;
    this.#conferences.delete(roomId);
    this.#media.lost(conference);
    this.#options.sfu.request('conference.close', { conferenceId: roomId }).catch(() => undefined);
    conference.closeLinks();
    this.#options.onLive(roomId);
  }

  #reachabilityChanged(server: string, lost: boolean, shownIn: ReadonlySet<string>): void {
    this.#options.log.warn(
      { server, lost },
      lost ? 'an organisation does not answer' : 'an organisation answers again',
    );
    const rooms = new Set(shownIn);
    for (const conference of this.#conferences.values()) {
      if (!conference.hasParticipantsOf(server)) continue;
      conference.setLost(server, lost);
      rooms.add(conference.roomId);
    }
    for (const roomId of rooms) this.#options.onLive(roomId);
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
    if (pdu.type === 'm.room.member' && pdu.content['membership'] === 'join') await this.#onJoin(event);
    if (!conference) return;
    // Who may not be here any more is out before anything else is looked at.
    if (pdu.state_key !== undefined) {
      if (pdu.type === CALL_MEMBER) await this.#onMembership(conference, pdu.state_key);
      else if (pdu.type === 'm.room.member') await this.#onMember(conference, pdu.state_key, pdu.content['membership']);
      else if (ADMISSION_RULES.has(pdu.type)) await this.#checkEverybody(conference);
    }
    // What was redacted may have been a title or a name.
    if (FOLLOWED.has(pdu.type)) {
      await this.#follow(conference, pdu.type === 'm.room.member' ? pdu.state_key : undefined);
    }
  }

  /**
   * Tells everybody what they see of the room's state, from that of the moment: title, names, roles, rights.
   *
   * @param only the one person whose membership changed
   */
  #follow(conference: Conference, only: string | undefined): Promise<void> {
    const { rooms } = this.#options;
    const { roomId } = conference;
    return this.#following.run(roomId, async () => {
      const name = await rooms.stateEvent(roomId, 'm.room.name', '');
      const title = displayTitle(name?.pdu.content['name']) ?? '';
      const isRenamed = title !== conference.title;
      conference.title = title;
      for (const { participantId, userId, guest } of conference.participants()) {
        if (only !== undefined && userId !== only) continue;
        conference.setPerson(participantId, await this.#person(roomId, userId, guest));
      }
      for (const local of [...conference.locals.values()]) {
        if (only !== undefined && local.userId !== only) continue;
        const canInvite = await rooms.mayInvite(roomId, local.userId);
        if (!isRenamed && canInvite === local.canInvite) continue;
        local.canInvite = canInvite;
        local.notifier?.notify('conference.changed', { roomId, title, canInvite });
      }
    });
  }

  /** Something was written under a key of memberships: by the device's own user, or by a stranger who may write there. */
  async #onMembership(conference: Conference, key: string): Promise<void> {
    const { serverName } = this.#options;
    const { roomId } = conference;
    const owner = ownerOfKey(key);
    if (!owner) return;
    const participantId = participantIdOf(owner.userId, owner.deviceId);
    if (serverOf(owner.userId) === serverName) {
      const local = conference.seat(participantId);
      if (!local?.written || !(await this.seats.defend({ conference, local }))) return;
      this.#announcer.announce(conference, conference.servers(), [local]);
      return;
    }
    await this.#membershipTurns.run(`${roomId} ${key}`, () => this.#applyMembership(conference, key, owner.userId));
  }

  /** Forks resolve: what counts is the room's current state, not the event that was stored last. */
  async #applyMembership(conference: Conference, key: string, ownerId: string): Promise<void> {
    const { rooms } = this.#options;
    const { roomId } = conference;
    const server = serverOf(ownerId);
    const current = await rooms.stateEvent(roomId, CALL_MEMBER, key);
    // What a stranger wrote there says nothing of the owner, whose homeserver will write it again.
    if (current?.pdu.sender !== ownerId) return;
    const membership = this.#membershipOf(current);
    if (!membership) {
      const owner = ownerOfKey(key);
      if (owner) conference.removeRemote(participantIdOf(owner.userId, owner.deviceId), 'left');
      return;
    }
    if (!(await rooms.serverAllowed(roomId, server)) || !(await rooms.isInside(roomId, ownerId))) return;
    conference.addRemote(membership, await this.#person(roomId, ownerId, membership.guest));
    if (this.reachability.isLost(server)) conference.setLost(server, true);
  }

  /** Before the places of the last run are taken over, nobody knows which are without a seat. */
  async #onJoin({ roomId, pdu }: StoredEvent): Promise<void> {
    const { serverName } = this.#options;
    if (this.#instanceId === undefined || pdu.state_key === undefined || serverOf(pdu.state_key) !== serverName) return;
    await this.seats.clear(roomId, pdu.state_key);
  }

  /** Who is no longer in the room is no longer in its conference, whatever his own instance says. */
  async #onMember(conference: Conference, userId: string, membership: unknown): Promise<void> {
    if (membership === 'join') return;
    const current = await this.#options.rooms.membership(conference.roomId, userId);
    if (current === 'join') return;
    const ended = this.endUser(conference.roomId, userId, 'removed');
    for (const { membership: remote } of conference.remotesOf(serverOf(userId))) {
      if (remote.userId === userId) conference.removeRemote(remote.participantId, 'removed');
    }
    await ended;
  }

  /** A rule of the room that decides who may be here has changed: who may not is out at once. */
  async #checkEverybody(conference: Conference): Promise<void> {
    const { rooms } = this.#options;
    const { roomId } = conference;
    const removals: Promise<void>[] = [];
    const tombstone = await rooms.stateEvent(roomId, 'm.room.tombstone', '');
    for (const local of conference.seats()) {
      try {
        await checkAdmission(this.#options, roomId, local);
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        removals.push(this.seats.remove({ conference, local }, tombstone ? 'ended' : 'removed'));
      }
    }
    for (const server of conference.servers()) {
      if (!(await rooms.serverAllowed(roomId, server))) conference.shutOut(server);
    }
    await Promise.all(removals);
  }

  // ---- other instances ----

  /**
   * The link to a server in the conference of a room, made when there is none yet.
   * @returns undefined while there is no conference with participants of both
   * @throws MatrixError 403 for a server that is not in the room, or shut out of it
   */
  async linkOf(roomId: string, server: string): Promise<Link | undefined> {
    await this.checkServer(roomId, server);
    this.reachability.heard(server);
    return this.#conferences.get(roomId)?.link(server);
  }

  /** @throws MatrixError 403 for a server that is not in the room, or shut out of it */
  async checkServer(roomId: string, server: string): Promise<void> {
    const { rooms } = this.#options;
    const servers = await rooms.joinedServers(roomId).catch(() => new Set<string>());
    if (servers.has(server) && (await rooms.serverAllowed(roomId, server))) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'Your server is not in this room.');
  }

  /** An EDU of another instance; it may speak for its own people only, in rooms that they are in. */
  async onEdu(origin: string, content: JsonObject): Promise<void> {
    const parsed = conferenceEduSchema.safeParse(content);
    if (!parsed.success) return;
    const edu = parsed.data;
    const { room_id: roomId } = edu;
    const { rooms, sender } = this.#options;
    const conference = this.#conferences.get(roomId);
    if (!conference) return;
    if (!(await rooms.joinedServers(roomId)).has(origin) || !(await rooms.serverAllowed(roomId, origin))) return;
    this.reachability.heard(origin);
    if (!this.#budget.mayHandle(origin)) {
      this.#budget.repairLater(origin, roomId, () =>
        sender.edu([origin], CONFERENCE_EDU, { room_id: roomId, resend: true }),
      );
      return;
    }
    // Each is named once: of two states of one participant in one message, neither is the newest.
    const states = new Map(
      (edu.participants ?? []).map((said) => [participantIdOf(said.user_id, said.device_id), said]),
    );
    let changes = 0;
    for (const [participantId, said] of states) {
      if (splitParticipantId(participantId).server !== origin) continue;
      const state = { sources: said.sources, reconnecting: said.reconnecting === true };
      if (conference.setRemoteState(participantId, state)) changes += 1;
    }
    this.#budget.spend(origin, changes);
    if (edu.resend) this.#announcer.announce(conference, [origin], conference.locals.values());
    if (edu.relink) conference.link(origin)?.reopen();
  }

  // ---- SFU ----

  #listenToSfu(sfu: SfuClient): void {
    this.#stop.push(
      sfu.on('conference.lost', ({ conferenceIds }) => {
        for (const id of conferenceIds) this.#mediaLost(this.#conferences.get(id), 'worker-died');
      }),
      sfu.on('consumer.closed', ({ consumerId, transportId }) => {
        const seat = this.#media.seatOfTransport(transportId);
        seat?.conference.consumerClosed(seat.local, consumerId);
      }),
      sfu.on('consumer.layers', ({ consumerId, transportId, layers }) => {
        this.#media.seatOfTransport(transportId)?.local.notifier?.notify('consumer.layers', { consumerId, layers });
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
        this.#repair(fresh, same, hello.snapshot).catch((error: unknown) =>
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
      if (!same && !fresh) this.#mediaLost(conference, 'sfu-lost');
      else if (same && !alive.has(roomId)) this.#mediaLost(conference, 'worker-died');
    }
    if (fresh || same) closeStrays(this.#options.sfu, snapshot, this.#conferences);
  }

  #mediaLost(conference: Conference | undefined, reason: 'worker-died' | 'sfu-lost'): void {
    if (!conference) return;
    this.#media.lost(conference);
    conference.mediaLost(reason);
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
      if (conference.seat(participantId)) continue;
      const own = state.get(stateKey(CALL_MEMBER, membershipKey(place.userId, place.deviceId)));
      const guest = own?.pdu.content[GUEST_FIELD] === true;
      const person = await this.#person(place.roomId, place.userId, guest);
      const local = new LocalParticipant({ ...place, participantId, guest, displayName: person.displayName });
      const seat = { conference, local };
      restoreMedia(this.#media, seat, snapshot);
      local.presence = 'reconnecting';
      this.seats.restore(seat, person);
      local.graceTimer = setTimeout(() => {
        this.seats.leave(seat, 'lost').catch(unexpected(this.#options.log, 'a seat was not given up'));
      }, RESTART_GRACE_MS);
    }
    restoreLinks(this.#options.sfu, snapshot, this.#conferences);
    for (const conference of this.#conferences.values()) conference.ensureLinks();
    log.info({ conferences: this.#conferences.size }, 'conference: places taken over');
  }

  // ---- upkeep ----

  async #upkeep(): Promise<void> {
    const now = Date.now();
    const { log } = this.#options;
    for (const conference of [...this.#conferences.values()]) {
      for (const participantId of conference.expired(now)) conference.removeRemote(participantId, 'lost');
      // State can also change by the resolution of forks, which no event tells of.
      await this.#checkEverybody(conference);
      for (const local of conference.locals.values()) {
        if (now - local.renewedAt < MEMBERSHIP_EXPIRES_MS / 2) continue;
        local.renewedAt = now;
        await this.seats.renew({ conference, local }).catch((error: unknown) => {
          local.renewedAt = 0;
          log.warn({ err: error }, 'conference: a membership was not renewed');
        });
      }
    }
  }

  /** Stops listening. Media and memberships stay: a restart takes them over. */
  close(): void {
    for (const stop of this.#stop) stop();
    this.seats.close();
    this.#announcer.close();
    this.#budget.close();
    this.reachability.close();
    for (const conference of this.#conferences.values()) {
      for (const local of conference.seats()) clearTimeout(local.graceTimer);
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
