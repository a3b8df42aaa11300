/**
 * Who may do what in a meeting: judged by the room's power levels of this moment, by the membership, and by what the
 * account allows. HTTP routes, requests of sessions and orders of other instances all ask here.
 *
 * The creator of a version 12 room has infinite power. Meetings are made by the host's service user, so that nobody has
 * it; in a meeting that a person has made, that person counts as owner.
 */
import { serverOf } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { PowerLevels } from '../../federation/power-levels.ts';
import { type Right, type Role, rightSchema } from '../../protocol/rights.ts';
import { MatrixError } from '../base/errors.ts';
import { ADMISSION, CALL_MEMBER, SETTING } from '../base/names.ts';
import type { LocalRights, RoomAct } from '../engine/rooms/ports.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { isGuest } from './people.ts';

/** The lowest power level of a role that has one. */
export const OWNER_LEVEL = 100;
export const MODERATOR_LEVEL = 50;

interface Need {
  /** The power level that a room asks for. */
  readonly level: (levels: PowerLevels) => number;
  /** What it is to the account. */
  readonly act: RoomAct;
  /** Completes "You may not …". */
  readonly deed: string;
  /** Whether it takes more power than the one has to whom it is done, as a kick does by Matrix's rules. */
  readonly over?: true;
}

/** What each right takes. With the power levels of a new meeting it says which role may do what. */
const NEEDS: Readonly<Record<Right, Need>> = {
  invite: { level: ({ invite }) => invite, act: 'invite', deed: 'invite others to this meeting' },
  /** What it takes to say whose admission it is, to invite whoever is admitted, and to remove whoever is refused. */
  admit: {
    level: ({ invite, kick, events, state_default: fallback }) =>
      Math.max(invite, kick, events.get(ADMISSION) ?? fallback),
    act: 'write',
    deed: 'admit others to this meeting',
  },
  mute: { level: ({ kick }) => kick, act: 'write', deed: 'mute others in this meeting' },
  'camera-off': { level: ({ kick }) => kick, act: 'write', deed: 'switch off the cameras of others in this meeting' },
  'stop-share': { level: ({ kick }) => kick, act: 'write', deed: 'end what others share in this meeting' },
  'ask-unmute': { level: ({ kick }) => kick, act: 'write', deed: 'ask others to turn on their microphones' },
  'rename-others': { level: ({ kick }) => kick, act: 'write', deed: 'rename guests in this meeting', over: true },
  remove: { level: ({ kick }) => kick, act: 'write', deed: 'remove others from this meeting', over: true },
  ban: { level: ({ ban }) => ban, act: 'write', deed: 'ban others from this meeting', over: true },
  end: { level: ({ kick }) => kick, act: 'write', deed: 'end this meeting for others' },
  appoint: { level: levelOfState('m.room.power_levels'), act: 'write', deed: 'give or take roles in this meeting' },
  'shut-out': {
    level: levelOfState('m.room.server_acl'),
    act: 'write',
    deed: 'shut organisations out of this meeting',
  },
  'set-rules': { level: levelOfSetting('lock'), act: 'write', deed: 'change the rules of this meeting' },
  'read-log': { level: ({ kick }) => kick, act: 'write', deed: 'read the log of this meeting' },
  'lower-hands': { level: ({ kick }) => kick, act: 'write', deed: 'lower the hands of others in this meeting' },
  'switch-hands': { level: levelOfSetting('hands'), act: 'write', deed: 'switch raising hands on or off' },
  'switch-reactions': { level: levelOfSetting('reactions'), act: 'write', deed: 'switch reactions on or off' },
};

/**
 * The power levels of a new meeting, where they are not those of any room. Moderators appoint moderators; by Matrix's
 * rules nobody takes power from somebody who has as much, so that only owners demote them.
 *
 * @param modules what modules write, by event type
 */
export function meetingLevels(owner: string, modules: Readonly<Record<string, number>>): JsonObject {
  return {
    users: { [owner]: OWNER_LEVEL },
    invite: MODERATOR_LEVEL,
    events: {
      ...modules,
      'm.room.power_levels': MODERATOR_LEVEL,
      'm.room.server_acl': OWNER_LEVEL,
      'm.room.tombstone': OWNER_LEVEL,
      [CALL_MEMBER]: 0,
    },
  };
}

export interface RightsDeps {
  readonly serverName: string;
  readonly rooms: Pick<Rooms, 'membership' | 'stateEvent' | 'serverAllowed' | 'authority'>;
  /** What the accounts of our people allow. */
  readonly standing: LocalRights;
}

export class Rights {
  readonly #deps: RightsDeps;

  constructor(deps: RightsDeps) {
    this.#deps = deps;
  }

  /** The role of somebody in a meeting, by power level; without power whoever came by a link is a guest. */
  async roleOf(roomId: string, userId: string): Promise<Role> {
    const { rooms, serverName } = this.#deps;
    const { level } = await rooms.authority(roomId, userId);
    if (level >= OWNER_LEVEL) return 'owner';
    if (level >= MODERATOR_LEVEL) return 'moderator';
    const member = await rooms.stateEvent(roomId, 'm.room.member', userId);
    return isGuest(userId, member?.pdu, serverName) ? 'guest' : 'participant';
  }

  /** @throws MatrixError 403 when the account of one of our people allows no meetings to be made */
  async requireMake(userId: string): Promise<void> {
    await this.#deps.standing.require(userId, 'create');
  }

  /**
   * Whether somebody has a right now. False for a room that we do not have.
   *
   * @param target user id of the one to whom it is to be done, if it is done to one: nobody removes somebody with as much power
   */
  async may(roomId: string, userId: string, right: Right, target?: string): Promise<boolean> {
    return (await this.#refusal(roomId, userId, right, target)) === undefined;
  }

  /** As `may`. @throws MatrixError 403 when somebody does not have a right now, or the account is locked or suspended */
  async require(roomId: string, userId: string, right: Right, target?: string): Promise<void> {
    const refusal = await this.#refusal(roomId, userId, right, target);
    if (refusal) throw refusal;
  }

  /** All rights that somebody has now. */
  async all(roomId: string, userId: string): Promise<Right[]> {
    const refusals = await Promise.all(rightSchema.options.map((right) => this.#refusal(roomId, userId, right)));
    return rightSchema.options.filter((_right, index) => refusals[index] === undefined);
  }

  /** Why somebody does not have a right. */
  async #refusal(roomId: string, userId: string, right: Right, target?: string): Promise<MatrixError | undefined> {
    const { level: needed, act, deed, over } = NEEDS[right];
    const account = await this.#accountRefusal(userId, act);
    if (account) return account;
    const { rooms } = this.#deps;
    const refused = new MatrixError(403, 'M_FORBIDDEN', `You may not ${deed}.`);
    if ((await rooms.membership(roomId, userId)) !== 'join') return refused;
    if (!(await rooms.serverAllowed(roomId, serverOf(userId)))) return refused;
    const { level, levels } = await rooms.authority(roomId, userId);
    if (level < needed(levels)) return refused;
    if (!over || target === undefined || level > (await rooms.authority(roomId, target)).level) return undefined;
    return new MatrixError(403, 'M_FORBIDDEN', `You may not ${deed} who have as much power as you.`);
  }

  /** What the account of one of our people forbids. Of others their own server knows it. */
  async #accountRefusal(userId: string, act: RoomAct): Promise<MatrixError | undefined> {
    const { serverName, standing } = this.#deps;
    if (serverOf(userId) !== serverName) return undefined;
    try {
      await standing.require(userId, act);
      return undefined;
    } catch (error) {
      if (error instanceof MatrixError) return error;
      throw error;
    }
  }
}

/** The power level for a state event of a type. */
function levelOfState(type: string): Need['level'] {
  return ({ events, state_default: fallback }) => events.get(type) ?? fallback;
}

/** The power level for a state event that switches something on or off. */
function levelOfSetting(name: string): Need['level'] {
  return levelOfState(`${SETTING}${name}`);
}
