/** What signed events of a meeting's room say for its log. */
import { isUserId, serverOf } from '../../../federation/event.ts';
import { isJsonObject, type JsonObject } from '../../../federation/json.ts';
import { ADMISSION, CALL_MEMBER, MEETING, SETTING } from '../../base/names.ts';
import { unexpected } from '../../base/log.ts';
import { Serial } from '../../base/serial.ts';
import type { Logger } from 'pino';
import { displayName, displayTitle } from '../../../protocol/display-text.ts';
import type { LogKind } from '../../../protocol/meeting-log.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { ownerOfKey, participantIdOf, readMembership } from '../conference/membership.ts';
import type { Clocks } from '../conference/room-memberships.ts';
import { MODERATOR_LEVEL, OWNER_LEVEL } from '../rights.ts';
import { isServiceUser } from '../service-user.ts';
import type { MeetingLogPort, Noted } from './meeting-log.ts';

/** What an event that came late says of its time is believed for so long, in ms. */
const BELIEVED_MS = 24 * 60 * 60 * 1000;
/** Roles that one event gives; more are not told apart. */
const MAX_ROLES = 20;

const TOLD = new Set([
  'm.room.member',
  'm.room.power_levels',
  'm.room.name',
  'm.room.guest_access',
  'm.room.server_acl',
  ADMISSION,
  CALL_MEMBER,
]);

export interface LogEventsDeps {
  readonly log: MeetingLogPort;
  readonly rooms: Pick<Rooms, 'stateEvent' | 'event'> & { readonly changes: Pick<Rooms['changes'], 'replacedBy'> };
  readonly clocks: Clocks;
  readonly now: () => number;
  readonly logger: Logger;
}

export class LogEvents {
  readonly #deps: LogEventsDeps;
  readonly #turns = new Serial();
  readonly #underWay = new Set<Promise<void>>();

  constructor(deps: LogEventsDeps) {
    this.#deps = deps;
  }

  /** Something was stored in a room. @param live whether it is new, and not of a part of the history that was missing */
  onEvent(event: StoredEvent, live: boolean): void {
    const { type, state_key: key } = event.pdu;
    if (!live || event.outlier || key === undefined || !(TOLD.has(type) || type.startsWith(SETTING))) return;
    const noted: Promise<void> = this.#turns
      .run(event.roomId, () => this.#note(event, key))
      .catch(unexpected(this.#deps.logger, 'an event was not noted in the log of its meeting'))
      .finally(() => this.#underWay.delete(noted));
    this.#underWay.add(noted);
  }

  /** Waits until all events are noted. */
  async close(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  async #note(event: StoredEvent, key: string): Promise<void> {
    const { rooms, log } = this.#deps;
    const { roomId, eventId, pdu } = event;
    if (!(await rooms.stateEvent(roomId, MEETING, ''))) return;
    const previousId = (await rooms.changes.replacedBy([eventId])).get(eventId);
    const before = previousId === undefined ? undefined : (await rooms.event(previousId))?.pdu.content;
    const at = this.#timeOf(event);
    const creator = (await rooms.stateEvent(roomId, 'm.room.create', ''))?.pdu.sender ?? '';
    const common = { roomId, at, key: eventId, by: isServiceUser(pdu.sender, creator) ? undefined : pdu.sender };
    if (pdu.type === CALL_MEMBER) this.#noteSeat(event, key, before);
    else if (pdu.type === ADMISSION) {
      const whom = key.slice(1);
      if (!isUserId(whom) || pdu.content['admitted'] === before?.['admitted']) return;
      const isMember = (await rooms.stateEvent(roomId, 'm.room.member', whom))?.pdu.content['membership'] === 'join';
      // Somebody who is sent back to wait is taken out of the room next, which says both.
      if (pdu.content['admitted'] !== true && isMember) return;
      log.note({ ...common, kind: pdu.content['admitted'] === true ? 'admitted' : 'refused', whom });
    } else if (pdu.type === 'm.room.member') {
      if (isServiceUser(key, creator) || (common.by === undefined && pdu.content['membership'] === 'invite')) return;
      const change = kindOfMember(pdu.content, before, pdu.sender === key);
      const kind = change && (await this.#asAdmission(roomId, key, change));
      if (!kind) return;
      const old = kind === 'named' ? displayName(before?.['displayname']) : undefined;
      log.note({ ...common, by: pdu.sender === key ? undefined : common.by, kind, whom: key, detail: old });
    } else if (pdu.type === 'm.room.power_levels') {
      for (const { userId, role } of rolesGiven(pdu.content, before).slice(0, MAX_ROLES)) {
        log.note({ ...common, key: `${eventId} ${userId}`, kind: 'role', whom: userId, detail: role });
      }
    } else {
      const noted = plainNote(event, before);
      if (noted) log.note({ ...common, ...noted });
    }
  }

  /** Who is not admitted is taken out to wait, or was refused, which the admission itself has said. */
  async #asAdmission(roomId: string, userId: string, kind: LogKind): Promise<LogKind | undefined> {
    if (kind !== 'removed' && kind !== 'refused' && kind !== 'withdrawn') return kind;
    const admission = await this.#deps.rooms.stateEvent(roomId, ADMISSION, `_${userId}`);
    if (admission?.pdu.content['admitted'] !== false) return kind;
    return kind === 'removed' ? 'wait' : undefined;
  }

  /** Somebody has come into the conference or gone, as their own homeserver signs it. */
  #noteSeat(event: StoredEvent, key: string, before: JsonObject | undefined): void {
    const { log, clocks } = this.#deps;
    const { roomId, eventId, pdu } = event;
    const owner = ownerOfKey(key);
    // Anybody may write under these keys; only what the owner writes is said of the owner.
    if (owner?.userId !== pdu.sender) return;
    const membership = readMembership(pdu, 0);
    if (membership) {
      const { userId, deviceId, joinedAt } = membership;
      // It is renewed now and then, with the same beginning.
      const seat = `${participantIdOf(userId, deviceId)} ${String(joinedAt)}`;
      const at = this.#believed(joinedAt - clocks.clockAhead(serverOf(userId)));
      log.note({ roomId, at, kind: 'entered', whom: userId, key: seat });
    } else if (before && Object.keys(before).length > 0) {
      log.note({ roomId, at: this.#timeOf(event), kind: 'left', whom: owner.userId, key: eventId });
    }
  }

  #timeOf({ pdu }: StoredEvent): number {
    return this.#believed(pdu.origin_server_ts - this.#deps.clocks.clockAhead(serverOf(pdu.sender)));
  }

  /** Nobody writes into the future, or so far into the past that nobody would look there. */
  #believed(at: number): number {
    const now = this.#deps.now();
    return at > now || at < now - BELIEVED_MS ? now : at;
  }
}

/** @param isOwn whether the person has written it */
function kindOfMember(content: JsonObject, before: JsonObject | undefined, isOwn: boolean): LogKind | undefined {
  const was = before?.['membership'];
  const is = content['membership'];
  if (is === was) {
    const isNamed = is === 'join' && displayName(content['displayname']) !== displayName(before?.['displayname']);
    return isNamed ? 'named' : undefined;
  }
  if (is === 'join') return 'joined';
  if (is === 'invite') return 'invited';
  if (is === 'knock') return 'knocked';
  if (is === 'ban') return 'banned';
  if (is !== 'leave') return undefined;
  if (was === 'invite') return isOwn ? 'declined' : 'withdrawn';
  if (was === 'knock') return isOwn ? undefined : 'refused';
  if (was === 'ban') return 'unbanned';
  if (was !== 'join') return undefined;
  return isOwn ? 'quit' : 'removed';
}

function rolesGiven(content: JsonObject, before: JsonObject | undefined): { userId: string; role: string }[] {
  // Those with which a meeting is made are no news.
  if (!before) return [];
  const now = levelsIn(content);
  const then = levelsIn(before);
  return [...new Set([...now.keys(), ...then.keys()])]
    .map((userId) => ({ userId, role: roleOf(now.get(userId)), was: roleOf(then.get(userId)) }))
    .filter(({ role, was }) => role !== was);
}

function levelsIn(content: JsonObject | undefined): Map<string, number> {
  const users = content?.['users'];
  if (!isJsonObject(users)) return new Map();
  return new Map(Object.entries(users).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
}

function roleOf(level = 0): string {
  if (level >= OWNER_LEVEL) return 'owner';
  return level >= MODERATOR_LEVEL ? 'moderator' : 'participant';
}

/** Events that say one thing about the whole meeting. */
function plainNote(
  { pdu: { type, content } }: StoredEvent,
  before: JsonObject | undefined,
): Pick<Noted, 'kind' | 'detail'> | undefined {
  if (type === 'm.room.name') {
    const title = displayTitle(content['name']);
    // The first name of a room is that of the meeting that is made.
    return before && title !== displayTitle(before['name']) ? { kind: 'title', detail: title } : undefined;
  }
  if (type === 'm.room.guest_access') {
    const isOpen = (access: JsonObject | undefined): boolean => access?.['guest_access'] === 'can_join';
    return before && isOpen(before) !== isOpen(content)
      ? { kind: 'rule', detail: `guests:${isOpen(content) ? 'on' : 'off'}` }
      : undefined;
  }
  if (type === 'm.room.server_acl') return shutOut(content, before);
  const detail = ruleIn(type.slice(SETTING.length), content);
  return detail === ruleIn(type.slice(SETTING.length), before ?? {}) ? undefined : { kind: 'rule', detail };
}

function shutOut(content: JsonObject, before: JsonObject | undefined): Pick<Noted, 'kind' | 'detail'> | undefined {
  const denied = (acl: JsonObject | undefined): string[] => {
    const deny = acl?.['deny'];
    return Array.isArray(deny) ? deny.filter((one) => typeof one === 'string') : [];
  };
  const now = new Set(denied(content));
  const then = new Set(denied(before));
  const added = [...now].filter((server) => !then.has(server));
  if (added.length > 0) return { kind: 'shut-out', detail: added.join(', ') };
  const gone = [...then].filter((server) => !now.has(server));
  return gone.length > 0 ? { kind: 'let-in', detail: gone.join(', ') } : undefined;
}

/** `<name>:<how it is>` of one setting. */
function ruleIn(name: string, content: JsonObject): string {
  const { restricted, enabled, locked, for: whom, participants, ends_at: endsAt } = content;
  if (name === 'lock') return `${name}:${locked === true ? 'on' : 'off'}`;
  if (name === 'limit') {
    const parts = [participants, endsAt].map((part) => (typeof part === 'number' ? String(part) : ''));
    return `${name}:${parts.join(' ')}`;
  }
  if (typeof whom === 'string') return `${name}:${whom.slice(0, 32)}`;
  const allowed = Array.isArray(content['allow']) ? ` ${String(content['allow'].length)}` : '';
  if (restricted === true) return `${name}:restricted${allowed}`;
  return `${name}:${enabled === false ? 'off' : 'on'}`;
}
