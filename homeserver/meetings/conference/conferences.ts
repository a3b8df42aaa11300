/**
 * The conferences of this instance, as the rest of it sees them: joining and leaving, sessions that drop and come back,
 * links that other instances ask for, and how many people are where. It puts the parts together that do the rest.
 */
import type { Logger } from 'pino';
import { type Cancel, type Clock, systemClock, within } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';
import { serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { ModuleName } from '../../../protocol/modules/list.ts';
import type { ConferenceSnapshot } from '../../../protocol/session.ts';
import { MatrixError } from '../../base/errors.ts';
import type { LocalRights } from '../../engine/rooms/ports.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Trust } from '../../engine/trust/trust.ts';
import type { MeetingLogPort } from '../log/meeting-log.ts';
import type { Organisations } from '../organisations.ts';
import type { Rights } from '../rights.ts';
import type { MeetingRules } from '../rules/meeting-rules.ts';
import { checkAdmission } from './admission.ts';
import { Announcer } from './announcer.ts';
import type { Conference } from './conference.ts';
import type { EntryRule } from './entry-rule.ts';
import type { Link } from './link.ts';
import type { LinkPeers } from './link-ports.ts';
import type { LivePeers } from './live-peers.ts';
import type { Notifier } from './notification.ts';
import { MEMBERSHIP_EXPIRES_MS, participantIdOf } from './membership.ts';
import type { OrderNumbers } from './order-numbers.ts';
import { Orders } from './orders.ts';
import type { Places } from './places.ts';
import type { ConferenceWatch, RoomPort, SfuPort } from './ports.ts';
import type { ConferenceModules } from './module-ports.ts';
import { Reachability } from './reachability.ts';
import { Registry } from './registry.ts';
import type { Removals } from './removals.ts';
import { personIn } from './room-facts.ts';
import { RoomFollower } from './room-follower.ts';
import { RuleEnforcement } from './rule-enforcement.ts';
import { membershipsIn } from './room-memberships.ts';
import { SeatMedia } from './seat-media.ts';
import { SeatError } from './seat-turns.ts';
import { type Joiner, type KeptMedia, Seats } from './seats.ts';
import type { ServerAccess } from './server-access.ts';
import { SfuEvents } from './sfu-events.ts';
import { Signals } from './signals.ts';
import type { Silences } from './silences.ts';
import { TimeLimits } from './time-limits.ts';

/** How often expired memberships are looked for, and the right of everybody here is checked once more, in ms. */
const UPKEEP_MS = 60 * 1000;

/** How long joining waits after a start until the places of the last run are taken over, in ms. */
const RESTORE_MS = 5_000;

export interface ConferencesOptions {
  serverName: string;
  rooms: RoomPort;
  /** What the accounts of our people allow. */
  standing: LocalRights;
  rights: Pick<Rights, 'roleOf' | 'all' | 'may' | 'require'>;
  rules: Pick<MeetingRules, 'of' | 'onChanged'>;
  sfu: SfuPort;
  organisations: Organisations;
  trust: Pick<Trust, 'isTrusted' | 'refusal' | 'onChanged'>;
  peers: LinkPeers;
  live: LivePeers;
  places: Pick<Places, 'put' | 'remove' | 'all'>;
  removals: Pick<Removals, 'holds'>;
  access: Pick<ServerAccess, 'allowed'>;
  silences: Pick<Silences, 'put' | 'of'>;
  orderNumbers: Pick<OrderNumbers, 'next' | 'take'>;
  modules: ConferenceModules;
  /** Is told what is seen from here, and what is not. */
  watch?: ConferenceWatch;
  /** Who has to wait before they may take a place. */
  entry: Pick<EntryRule, 'require' | 'reason' | 'isSentBack' | 'isBefore'>;
  /** The log of meetings. */
  noted?: MeetingLogPort;
  /** Absent, that of the system. */
  clock?: Clock;
  log: Logger;
  /** The number of people in a conference changed between none and some. */
  onLive(roomId: string): void;
  /** What some of our participants may do has changed, or there is another one. */
  onRights(roomId: string): void;
}

export class Conferences {
  readonly #options: ConferencesOptions;
  readonly #clock: Clock;
  readonly #registry: Registry;
  /** The media of a seat, for requests that run in its turn. */
  readonly media: SeatMedia;
  /** The seats of our own participants. */
  readonly seats: Seats;
  /** What people do to others, here and at other instances. */
  readonly orders: Orders;
  readonly #announcer: Announcer;
  readonly #reachability: Reachability;
  readonly #limits: TimeLimits;
  readonly #follower: RoomFollower;
  readonly #signals: Signals;
  readonly #sfuEvents: SfuEvents;
  readonly #stop: (() => void)[] = [];
  #nextUpkeep: Cancel = () => undefined;
  #closed = false;

  constructor(options: ConferencesOptions) {
    const { sfu, log, organisations, clock = systemClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.media = new SeatMedia(sfu);
    this.#reachability = new Reachability({
      ask: (server) => organisations.ask(server),
      onChange: (server, lost, shownIn) => this.#reachabilityChanged(server, lost, shownIn),
    });
    this.#announcer = new Announcer({
      live: options.live,
      clock,
      log,
      heard: (server) => this.#reachability.heard(server),
    });
    const shared = { media: this.media, announcer: this.#announcer, reachability: this.#reachability };
    this.#limits = new TimeLimits({ ...options, clock, clocks: organisations, seats: () => this.seats });
    this.#registry = new Registry({
      ...options,
      ...shared,
      read: (conference) => this.#follower.read(conference),
      onClosed: (conference) => {
        this.#limits.closed(conference);
        options.onLive(conference.roomId);
      },
    });
    const conferences = this.#registry;
    this.seats = new Seats({
      ...options,
      clock,
      media: this.media,
      current: (roomId) => conferences.get(roomId),
      hold: (roomId) => conferences.hold(roomId),
      check: async (roomId, joiner, isNew) => {
        await this.#check(roomId, joiner);
        if (isNew) await options.entry.require(roomId, joiner);
      },
      person: (roomId, userId, guest) => personIn(options, roomId, userId, guest),
    });
    const enforcement = new RuleEnforcement({ ...options, ...shared, seats: this.seats });
    this.#sfuEvents = new SfuEvents({
      ...options,
      ...shared,
      conferences,
      seats: this.seats,
      restored: (seat) => {
        this.#follower.defend(seat);
        enforcement.apply(seat.conference, false);
      },
    });
    this.#follower = new RoomFollower({
      ...options,
      ...shared,
      conferences,
      seats: this.seats,
      enforcement,
      clocks: organisations,
      limits: this.#limits,
      placesKnown: () => this.#sfuEvents.wasConnected,
    });
    this.orders = new Orders({ ...options, announcer: this.#announcer, numbers: options.orderNumbers });
    this.#signals = new Signals({ ...options, ...shared, conferences, orders: this.orders });
    this.#stop.push(this.#follower.start(), ...this.#sfuEvents.start());
    this.#upkeepLater();
  }

  get(roomId: string): Conference | undefined {
    return this.#registry.get(roomId);
  }

  /** @throws MatrixError 404 when there is none in the room */
  require(roomId: string): Conference {
    const conference = this.#registry.get(roomId);
    if (!conference) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no conference in this meeting now.');
    return conference;
  }

  /** How many devices are in the conference of a room, here and elsewhere, by the room's state. */
  liveCount(state: ReadonlyMap<string, StoredEvent>): number {
    const { organisations, serverName, trust } = this.#options;
    let count = 0;
    for (const { event, membership } of membershipsIn(state, organisations, trust)) {
      const server = serverOf(membership.userId);
      if (server !== serverName) this.#reachability.look(server, event.roomId);
      if (!this.#reachability.isLost(server)) count += 1;
    }
    return count;
  }

  // ---- our own participants ----

  /**
   * Enters a device into the conference.
   * @param keep transports and consumers that the client still has, when it comes back
   * @throws MatrixError 403 when the user may not be there; SeatError when the user has to wait (`must-wait`), or the seat
   *   was taken away meanwhile; SfuError when there is no SFU
   */
  async join(roomId: string, joiner: Joiner, keep?: KeptMedia): Promise<ConferenceSnapshot> {
    const { rooms, rights, organisations, serverName } = this.#options;
    // Whoever comes back takes over the place of before, with the hand that was up.
    await within(this.#clock, RESTORE_MS, this.#sfuEvents.restored);
    // Who has to wait does not come into the room before.
    if (!this.get(roomId)?.seat(participantIdOf(joiner.userId, joiner.deviceId))) {
      await this.#options.entry.require(roomId, joiner);
    }
    if ((await rooms.membership(roomId, joiner.userId)) === 'invite') await rooms.join(joiner.userId, roomId);
    await this.#check(roomId, joiner);
    await rooms.whole(roomId);
    const { conference, local, isNew, media } = await this.seats.join(roomId, joiner, keep);
    local.rights = await rights.all(roomId, joiner.userId);
    // Meanwhile the seat may have been taken away, or over by another session.
    if (this.seats.of(joiner.holder)?.local !== local) {
      throw new SeatError('not-in-conference', 'You were taken out of the conference.');
    }
    this.#options.onRights(roomId);
    conference.ensureLinks();
    if (!isNew) this.#announcer.announce(conference, conference.servers(), [local]);
    if (isNew && conference.participants().length === 1) this.#options.onLive(roomId);
    const untrusted = this.#follower.untrusted.of(conference);
    return {
      roomId,
      title: conference.title,
      rights: [...local.rights],
      me: local.participantId,
      participants: conference.participants(),
      organisations: [
        ...new Set([serverName, ...conference.servers(), ...untrusted.map((one) => one.organisation)]),
      ].map((server) => organisations.known(server)),
      links: [...conference.links.values()].map(({ state }) => state),
      untrusted,
      ...(media ? { media } : {}),
      modules: this.#options.modules.snapshots(conference, local),
    };
  }

  /** @throws MatrixError 403 when this person of ours may not be in the conference now */
  async #check(roomId: string, joiner: Pick<Joiner, 'userId' | 'guest'>): Promise<void> {
    await checkAdmission(this.#options, roomId, joiner);
    await this.#limits.check(roomId, joiner.userId);
  }

  /** Tells a module of the other instances in a conference something that nobody needs later. */
  tell(roomId: string, module: ModuleName, data: JsonObject): void {
    const conference = this.get(roomId);
    if (conference) this.#announcer.tell(conference, conference.servers(), { module, data });
  }

  /** The session of a participant dropped: it keeps its place until the session expires. */
  sessionDropped(holder: Notifier): void {
    this.seats.attached(holder, false);
  }

  sessionResumed(holder: Notifier): void {
    this.seats.attached(holder, true);
  }

  /**
   * A device was logged out, or its account suspended, locked or ended: its seats are gone at once; then that is
   * written. Never rejects.
   */
  async endDevice(userId: string, deviceId: string): Promise<void> {
    const participantId = participantIdOf(userId, deviceId);
    const seats = this.#registry.seats().filter(({ local }) => local.participantId === participantId);
    await Promise.all(seats.map((seat) => this.seats.remove(seat, { reason: 'signed-out' })));
  }

  // ---- other instances ----

  /**
   * The link to a server in the conference of a room, made when there is none yet.
   * @returns undefined while there is no conference with participants of both
   * @throws MatrixError 403 for a server that is not in the room, or shut out of it
   */
  async linkOf(roomId: string, server: string): Promise<Link | undefined> {
    await this.#checkServer(roomId, server);
    this.#reachability.heard(server);
    return this.#registry.get(roomId)?.link(server);
  }

  /** @throws MatrixError 403 for a server that is not in the room, or shut out of it */
  async #checkServer(roomId: string, server: string): Promise<void> {
    const { rooms, access } = this.#options;
    const servers = await rooms.joinedServers(roomId).catch(() => new Set<string>());
    if (servers.has(server) && (await access.allowed(roomId, server))) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'Your server is not in this room.');
  }

  /** What other instances say live of their participants. */
  get signals(): Pick<Signals, 'onMessage' | 'onEdu'> {
    return this.#signals;
  }

  /** Who may be in the conference of a room may be others now: who may not is out, and who may is in. */
  async checkEverybody(roomId: string): Promise<void> {
    const conference = this.#registry.get(roomId);
    if (!conference) return;
    await this.#follower.checkEverybody(conference);
    await this.#follower.read(conference);
  }

  /** Asks the side that opens links to do so. */
  askToOpen(server: string, roomId: string): void {
    const conference = this.#registry.get(roomId);
    if (conference) this.#announcer.ask(conference, [server], 'relink');
  }

  #reachabilityChanged(server: string, lost: boolean, shownIn: ReadonlySet<string>): void {
    this.#options.log.warn(
      { server, lost },
      lost ? 'an organisation does not answer' : 'an organisation answers again',
    );
    const rooms = new Set(shownIn);
    const conferences = this.#registry.all.filter((conference) => conference.servers().has(server));
    for (const conference of conferences) {
      conference.setLost(server, lost);
      rooms.add(conference.roomId);
    }
    this.#options.watch?.lost(server, lost, new Set(conferences.map(({ roomId }) => roomId)));
    for (const roomId of rooms) this.#options.onLive(roomId);
  }

  // ---- upkeep ----

  #upkeepLater(): void {
    this.#nextUpkeep = this.#clock.after(UPKEEP_MS, () => {
      this.#upkeep()
        .catch(unexpected(this.#options.log, 'conference: the upkeep failed'))
        .finally(() => {
          if (!this.#closed) this.#upkeepLater();
        });
    });
  }

  async #upkeep(): Promise<void> {
    // One that fails does not keep the others from theirs.
    const failed = unexpected(this.#options.log, 'conference: the upkeep failed');
    for (const conference of this.#registry.all) await this.#keepUp(conference).catch(failed);
  }

  async #keepUp(conference: Conference): Promise<void> {
    const now = this.#clock.now();
    const { log, modules } = this.#options;
    for (const participantId of conference.expired(now)) conference.removeRemote(participantId, 'lost');
    // State can also change by the resolution of forks, which no event tells of.
    await this.#follower.checkEverybody(conference);
    await this.#limits.refresh(conference);
    await modules.refresh(conference);
    await this.#follower.refresh(conference);
    for (const local of conference.locals.values()) {
      if (now - local.renewedAt < MEMBERSHIP_EXPIRES_MS / 2) continue;
      local.renewedAt = now;
      await this.seats.records.renew({ conference, local }).catch((error: unknown) => {
        local.renewedAt = 0;
        log.warn({ err: error }, 'conference: a membership was not renewed');
      });
    }
  }

  /** Stops listening. Media and memberships stay: a restart takes them over. */
  close(): void {
    this.#closed = true;
    this.#nextUpkeep();
    for (const stop of this.#stop) stop();
    this.#limits.close();
    this.seats.close();
    this.#announcer.close();
    this.#signals.close();
    this.#reachability.close();
    for (const conference of this.#registry.all) for (const link of conference.links.values()) link.stop();
  }
}
