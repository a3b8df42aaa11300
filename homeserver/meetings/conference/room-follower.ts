/**
 * What happens in the rooms of live conferences: who takes part at other organisations, who may not be here any more,
 * and what people see of the room. Forks resolve: what counts is always the room's current state, not the event that
 * was stored last.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import type { ModerationAction } from '../../../protocol/modules/moderation.ts';
import { MatrixError } from '../../base/errors.ts';
import { unexpected } from '../../base/log.ts';
import { ADMISSION, CALL_MEMBER } from '../../base/names.ts';
import { Serial } from '../../base/serial.ts';
import type { LocalRights } from '../../engine/rooms/ports.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Trust } from '../../engine/trust/trust.ts';
import type { Organisations } from '../organisations.ts';
import type { Rights } from '../rights.ts';
import type { MeetingRules } from '../rules/meeting-rules.ts';
import { ADMISSION_RULES, checkAdmission } from './admission.ts';
import type { Announcer } from './announcer.ts';
import type { Conference } from './conference.ts';
import type { EntryRule } from './entry-rule.ts';
import { ownerOfKey, participantIdOf } from './membership.ts';
import type { RoomPort } from './ports.ts';
import type { Removals } from './removals.ts';
import type { Reachability } from './reachability.ts';
import type { Registry } from './registry.ts';
import { endingOf } from './endings.ts';
import { type RoleChange, tellRoles } from './role-news.ts';
import { personIn, titleIn } from './room-facts.ts';
import type { RuleEnforcement } from './rule-enforcement.ts';
import { type Clocks, membershipOf, membershipsIn } from './room-memberships.ts';
import type { Seat } from './seat-media.ts';
import type { Ending, Seats } from './seats.ts';
import type { ServerAccess } from './server-access.ts';
import { tellOthers } from './tell-others.ts';
import { LIMIT_SETTING, type TimeLimits } from './time-limits.ts';
import { UntrustedShown } from './untrusted.ts';

/** What changes something that people in a conference see of its room. */
const FOLLOWED = new Set(['m.room.name', 'm.room.member', 'm.room.power_levels', 'm.room.redaction']);

/** As what the others are told why somebody is out. */
const TOLD_AS: ReadonlyMap<Ending['reason'], ModerationAction> = new Map([
  ['removed', 'remove'],
  ['banned', 'ban'],
  ['waiting', 'wait'],
]);

export interface RoomFollowerDeps {
  readonly serverName: string;
  readonly rooms: RoomPort;
  /** What the accounts of our people allow. */
  readonly standing: LocalRights;
  readonly rights: Pick<Rights, 'roleOf' | 'all'>;
  readonly rules: Pick<MeetingRules, 'of' | 'onChanged'>;
  readonly clocks: Clocks;
  readonly organisations: Pick<Organisations, 'info'>;
  readonly trust: Pick<Trust, 'isTrusted' | 'refusal' | 'onChanged'>;
  readonly conferences: Pick<Registry, 'get' | 'seats' | 'all'>;
  /** Who was removed although the room does not say so yet. */
  readonly removals: Pick<Removals, 'holds'>;
  readonly access: Pick<ServerAccess, 'allowed'>;
  /** Who has to wait before they may take a place. */
  readonly entry: Pick<EntryRule, 'reason' | 'isSentBack' | 'isBefore'>;
  readonly seats: Seats;
  readonly enforcement: RuleEnforcement;
  readonly announcer: Announcer;
  readonly reachability: Reachability;
  readonly limits: Pick<TimeLimits, 'refresh'>;
  readonly log: Logger;
  /** Whether the places that were held when the homeserver ended are taken over. */
  placesKnown(): boolean;
  /** The number of people in a conference may have changed. */
  onLive(roomId: string): void;
  /** What some of our participants may do has changed. */
  onRights(roomId: string): void;
}

export class RoomFollower {
  readonly #deps: RoomFollowerDeps;
  /** Memberships of other organisations are applied one after the other for each key, from the state of that moment. */
  readonly #membershipTurns = new Serial();
  readonly #following = new Serial();
  /** Organisations that are not connected because they are not trusted. */
  readonly untrusted: UntrustedShown;

  constructor(deps: RoomFollowerDeps) {
    this.#deps = deps;
    this.untrusted = new UntrustedShown(deps);
  }

  /** @returns a function that ends the listening */
  start(): () => void {
    const { rooms, trust, rules, conferences, log } = this.#deps;
    const stops = [
      rules.onChanged((roomId) => {
        const conference = conferences.get(roomId);
        if (conference) this.refresh(conference).catch(unexpected(log, 'conference: a rule was not applied'));
      }),
      rooms.onEvent((event) => {
        this.#onEvent(event).catch((error: unknown) =>
          log.error({ err: error, eventId: event.eventId }, 'conference: a room event was not applied'),
        );
      }),
      trust.onChanged((server) => {
        this.#onTrust(server).catch((error: unknown) =>
          log.error({ err: error, server }, 'conference: a change of trust was not applied'),
        );
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  /** Reads what people see of a room, and brings those in who are in the conference at other organisations. */
  async read(conference: Conference): Promise<void> {
    const { rooms, serverName, clocks, trust } = this.#deps;
    const state = await rooms.state(conference.roomId);
    await this.#follow(conference, undefined);
    await this.#showUntrusted(conference);
    await this.#deps.limits.refresh(conference);
    const others = [...membershipsIn(state, clocks, trust)].filter(
      ({ membership }) => serverOf(membership.userId) !== serverName,
    );
    await Promise.all(others.map(({ event }) => this.#onMembership(conference, event.pdu.state_key ?? '')));
  }

  /** Reads again what people see of a room; state can also change by the resolution of forks, which no event tells of. */
  refresh(conference: Conference): Promise<void> {
    return this.#follow(conference, undefined);
  }

  /** A rule of the room that decides who may be here has changed: who may not is out at once. */
  async checkEverybody(conference: Conference): Promise<void> {
    const { access, seats, trust } = this.#deps;
    const { roomId } = conference;
    for (const server of conference.servers()) if (!trust.isTrusted(server)) conference.shutOut(server, 'lost');
    const removals: Promise<void>[] = [];
    for (const local of conference.seats()) {
      try {
        await checkAdmission(this.#deps, roomId, local);
        this.defend({ conference, local });
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        removals.push(seats.remove({ conference, local }, await endingOf(this.#deps, roomId, local.userId)));
      }
    }
    for (const server of conference.servers()) {
      if (!(await access.allowed(roomId, server))) conference.shutOut(server);
    }
    await Promise.all(removals);
  }

  async #onEvent(event: StoredEvent): Promise<void> {
    const conference = this.#deps.conferences.get(event.roomId);
    const { pdu } = event;
    if (pdu.type === 'm.room.member' && pdu.content['membership'] === 'join') await this.#onJoin(event);
    if (!conference) return;
    // Who may not be here any more is out before anything else is looked at.
    if (pdu.state_key !== undefined) {
      if (pdu.type === CALL_MEMBER) await this.#onMembership(conference, pdu.state_key);
      else if (pdu.type === 'm.room.member') {
        await this.#onMember(conference, pdu.state_key, pdu.content['membership']);
        if (this.#deps.trust.refusal(serverOf(pdu.state_key))) await this.#showUntrusted(conference);
      } else if (pdu.type === ADMISSION) await this.#onAdmission(conference, pdu.state_key.slice(1));
      else if (ADMISSION_RULES.has(pdu.type)) {
        await this.checkEverybody(conference);
        // Whose organisation is let in again may be in the conference.
        if (pdu.type === 'm.room.server_acl') await this.read(conference);
      } else if (pdu.type === LIMIT_SETTING) await this.#deps.limits.refresh(conference);
    }
    // What was redacted may have been a title or a name.
    if (FOLLOWED.has(pdu.type)) {
      await this.#follow(conference, pdu.type === 'm.room.member' ? pdu.state_key : undefined);
    }
  }

  /** A server is trusted now, or is not any more: its people come in, or they and the link to it are out at once. */
  async #onTrust(server: string): Promise<void> {
    const { conferences, rooms, trust, onLive, log } = this.#deps;
    const all = [...conferences.all];
    // Out of all of them before anything is waited for.
    if (!trust.isTrusted(server)) for (const conference of all) conference.shutOut(server, 'lost');
    for (const conference of all) {
      try {
        if (!(await rooms.joinedServers(conference.roomId)).has(server)) continue;
        await this.read(conference);
        onLive(conference.roomId);
      } catch (error) {
        log.error({ err: error, server }, 'conference: a change of trust was not shown');
      }
    }
  }

  /** Tells everybody which organisations in the room are not trusted, and whom of theirs they miss. */
  #showUntrusted(conference: Conference): Promise<void> {
    return this.#following.run(conference.roomId, () => this.untrusted.refresh(conference));
  }

  /**
   * Tells everybody what they see of the room's state, from that of the moment: title, names, roles, rights.
   *
   * @param only the one person whose membership changed
   */
  #follow(conference: Conference, only: string | undefined): Promise<void> {
    const { rooms, rights } = this.#deps;
    const { roomId } = conference;
    return this.#following.run(roomId, async () => {
      const title = titleIn(await rooms.stateEvent(roomId, 'm.room.name', ''));
      const isRenamed = title !== conference.title;
      conference.title = title;
      const rulesChanged = await this.#readRules(conference);
      const changes: RoleChange[] = [];
      for (const { participantId, userId, guest, role } of conference.participants()) {
        if (only !== undefined && userId !== only) continue;
        const person = await personIn(this.#deps, roomId, userId, guest);
        if (person.role !== role) changes.push({ ...person, participantId, userId });
        conference.setPerson(participantId, person);
      }
      this.#deps.enforcement.apply(conference, rulesChanged);
      if (only === undefined) await tellRoles(rooms, conference, changes);
      for (const local of [...conference.locals.values()]) {
        if (only !== undefined && local.userId !== only) continue;
        const current = await rights.all(roomId, local.userId);
        if (!isRenamed && isDeepStrictEqual(current, local.rights)) continue;
        local.rights = current;
        this.#deps.onRights(roomId);
        local.notifier?.notify('conference.changed', { roomId, title, rights: current });
      }
    });
  }

  /** Everybody is shown the rules that hold. @returns whether these are others than before */
  async #readRules(conference: Conference): Promise<boolean> {
    return conference.setRules(await this.#deps.rules.of(conference.roomId));
  }

  /** Something was written under a key of memberships: by the device's own user, or by a stranger who may write there. */
  async #onMembership(conference: Conference, key: string): Promise<void> {
    const { serverName } = this.#deps;
    const { roomId } = conference;
    const owner = ownerOfKey(key);
    if (!owner) return;
    const participantId = participantIdOf(owner.userId, owner.deviceId);
    if (serverOf(owner.userId) === serverName) {
      const local = conference.seat(participantId);
      if (local) this.defend({ conference, local });
      return;
    }
    await this.#membershipTurns.run(`${roomId} ${key}`, () => this.#applyMembership(conference, key, owner.userId));
  }

  /** Sees to it that the membership of a seat stands in the room, as long as its owner may write there. */
  defend({ conference, local }: Seat): void {
    const { seats, announcer, log } = this.#deps;
    if (!local.isWritten) return;
    seats.records
      .defend({ conference, local }, () => announcer.announce(conference, conference.servers(), [local]))
      .catch((error: unknown) => log.warn({ err: error }, 'conference: a membership was not written again'));
  }

  async #applyMembership(conference: Conference, key: string, ownerId: string): Promise<void> {
    const { rooms, clocks, reachability, trust, entry } = this.#deps;
    const { roomId } = conference;
    const server = serverOf(ownerId);
    const current = await rooms.stateEvent(roomId, CALL_MEMBER, key);
    // What a stranger wrote there says nothing of the owner, whose homeserver will write it again.
    if (current?.pdu.sender !== ownerId) return;
    const membership = membershipOf(current, clocks);
    if (!membership) {
      const owner = ownerOfKey(key);
      if (owner) conference.removeRemote(participantIdOf(owner.userId, owner.deviceId), 'left');
      return;
    }
    if (!(await this.#mayBeHere(roomId, ownerId))) return;
    // Who has to wait has no place, whatever their instance has written.
    if (!conference.has(membership.participantId)) {
      const { guest } = await personIn(this.#deps, roomId, ownerId, membership.guest);
      const reason = await entry.reason(roomId, { userId: ownerId, guest });
      if (reason && !(await entry.isBefore(roomId, current))) return;
    }
    const person = await personIn(this.#deps, roomId, ownerId, membership.guest);
    // It stands in the room, and counts for nothing as long as its organisation is not trusted.
    if (!trust.isTrusted(server)) return;
    conference.addRemote(membership, person);
    if (reachability.isLost(server)) conference.setLost(server, true);
    // What ended that right meanwhile found nobody to take out.
    if (!(await this.#mayBeHere(roomId, ownerId))) conference.removeRemote(membership.participantId, 'removed');
  }

  /** Whether somebody of another organisation may be in the conference, by the room and by the orders that came first. */
  async #mayBeHere(roomId: string, userId: string): Promise<boolean> {
    const { rooms, access, removals } = this.#deps;
    if (!(await access.allowed(roomId, serverOf(userId))) || !(await rooms.isInside(roomId, userId))) return false;
    return !(await removals.holds(roomId, userId));
  }

  /** Who was sent back to wait has no place any more; whom a moderator has admitted may be there already. */
  async #onAdmission(conference: Conference, userId: string): Promise<void> {
    const { seats, conferences, entry } = this.#deps;
    const { roomId } = conference;
    if (!(await entry.isSentBack(roomId, userId))) {
      await this.#onReturn(conference, userId);
      return;
    }
    for (const { membership } of conference.remotesOf(serverOf(userId))) {
      if (membership.userId === userId) conference.removeRemote(membership.participantId, 'removed');
    }
    const theirs = conferences.seats().filter((seat) => seat.conference === conference && seat.local.userId === userId);
    if (theirs.length === 0) return;
    const ending = await endingOf(this.#deps, roomId, userId);
    await Promise.all(theirs.map((seat) => seats.remove(seat, ending)));
  }

  /** Before the places of the last run are taken over, nobody knows which are without a seat. */
  async #onJoin({ roomId, pdu }: StoredEvent): Promise<void> {
    const { serverName, seats, placesKnown } = this.#deps;
    if (!placesKnown() || pdu.state_key === undefined || serverOf(pdu.state_key) !== serverName) return;
    await seats.records.clear(roomId, pdu.state_key);
  }

  /** Who is in the room again may never have lost a seat: what stands there of somebody not shown counts again. */
  async #onReturn(conference: Conference, userId: string): Promise<void> {
    const { rooms, serverName } = this.#deps;
    const server = serverOf(userId);
    if (server === serverName || conference.remotesOf(server).some((remote) => remote.membership.userId === userId))
      return;
    const isTheirs = (key: string): boolean => ownerOfKey(key)?.userId === userId;
    for (const { pdu } of await rooms.stateOfType(conference.roomId, CALL_MEMBER, isTheirs)) {
      if (pdu.sender === userId) await this.#onMembership(conference, pdu.state_key ?? '');
    }
  }

  /** Who is no longer in the room is no longer in its conference, whatever his own instance says. */
  async #onMember(conference: Conference, userId: string, membership: unknown): Promise<void> {
    if (membership === 'join') {
      await this.#onReturn(conference, userId);
      return;
    }
    const { rooms, conferences, seats } = this.#deps;
    const { roomId } = conference;
    const current = await rooms.membership(roomId, userId);
    if (current === 'join') return;
    const ending = await endingOf(this.#deps, roomId, userId);
    const action = ending.by && TOLD_AS.get(ending.reason);
    if (action && ending.by) {
      const theirs = conference.participants().filter((one) => one.userId === userId);
      const targets = theirs.map(({ participantId }) => participantId);
      tellOthers(conference, action, { targets, by: ending.by });
    }
    // All are out at once; then it is written.
    const ended = conferences
      .seats()
      .filter((seat) => seat.conference.roomId === roomId && seat.local.userId === userId)
      .map((seat) => seats.remove(seat, ending));
    for (const { membership: remote } of conference.remotesOf(serverOf(userId))) {
      if (remote.userId === userId) conference.removeRemote(remote.participantId, 'removed');
    }
    await Promise.all(ended);
  }
}
