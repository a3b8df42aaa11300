/** Who gets and loses roles in a meeting: they are power levels of its room. */
import { isUserId } from '../../federation/event.ts';
import { isJsonObject, type JsonObject } from '../../federation/json.ts';
import type { GivenRole } from '../../protocol/modules/moderation.ts';
import { MatrixError } from '../base/errors.ts';
import { MEETING } from '../base/names.ts';
import { Serial } from '../base/serial.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { MODERATOR_LEVEL, OWNER_LEVEL, type Rights } from './rights.ts';
import type { ServiceUser } from './service-user.ts';

const LEVELS: Readonly<Record<GivenRole, number>> = { owner: OWNER_LEVEL, moderator: MODERATOR_LEVEL, participant: 0 };
/** People with a level of their own in one meeting. */
const MAX_WITH_LEVEL = 500;

export interface RolesDeps {
  readonly rooms: Pick<Rooms, 'membership' | 'stateEvent' | 'send' | 'authority' | 'joinedUsers'>;
  readonly rights: Pick<Rights, 'may' | 'require' | 'roleOf'>;
  readonly service: Pick<ServiceUser, 'userId' | 'hosts'>;
  /** Whether somebody of ours administers this instance. */
  isAdmin(userId: string): Promise<boolean>;
  /** User ids of those who are in the conference of a room now, here and elsewhere. */
  present(roomId: string): string[];
}

export class Roles {
  readonly #deps: RolesDeps;
  /** Two changes at once would each leave out the other. */
  readonly #turns = new Serial();

  constructor(deps: RolesDeps) {
    this.#deps = deps;
  }

  /**
   * Gives somebody in the room a role. By Matrix's rules nobody gives more power than they have, or takes any from whoever
   * has as much, but from themselves.
   *
   * @throws MatrixError 403 without the right, 404 for somebody who is not in the room, 400 when too many have a role
   */
  async set(roomId: string, by: string, userId: string, role: GivenRole): Promise<void> {
    await this.#turns.run(roomId, async () => {
      await this.#deps.rights.require(roomId, by, 'appoint');
      await this.#write(roomId, by, userId, role);
    });
  }

  /**
   * As `set`, also where nobody leads the meeting any more: then its host, or an administrator of the host's organisation,
   * appoints somebody.
   *
   * @param by the user id of somebody of ours
   * @throws MatrixError as `set`
   */
  async appoint(roomId: string, by: string, userId: string, role: GivenRole): Promise<void> {
    const { rights, service, isAdmin } = this.#deps;
    if (await rights.may(roomId, by, 'appoint')) {
      await this.set(roomId, by, userId, role);
      return;
    }
    await this.#turns.run(roomId, async () => {
      const mayHost = (await service.hosts(roomId)) && ((await this.#isHost(roomId, by)) || (await isAdmin(by)));
      if (!mayHost || (await this.#isLed(roomId))) await rights.require(roomId, by, 'appoint');
      await this.#write(roomId, service.userId, userId, role);
    });
  }

  async #isHost(roomId: string, userId: string): Promise<boolean> {
    const meeting = await this.#deps.rooms.stateEvent(roomId, MEETING, '');
    return meeting?.pdu.content['host'] === userId;
  }

  /** Whether somebody leads the meeting now: in its conference, or in the room while there is no conference. */
  async #isLed(roomId: string): Promise<boolean> {
    const { rooms, rights, service, present } = this.#deps;
    const inside = present(roomId);
    const people = inside.length > 0 ? inside : await rooms.joinedUsers(roomId);
    for (const userId of people) {
      if (userId === service.userId) continue;
      const role = await rights.roleOf(roomId, userId);
      if (role === 'owner' || role === 'moderator') return true;
    }
    return false;
  }

  async #write(roomId: string, sender: string, userId: string, role: GivenRole): Promise<void> {
    const { rooms, rights } = this.#deps;
    if (!isUserId(userId) || (await rooms.membership(roomId, userId)) !== 'join') {
      throw new MatrixError(404, 'M_NOT_FOUND', 'This person is not in the meeting.');
    }
    const before = await rights.roleOf(roomId, userId);
    if ((before === 'guest' ? 'participant' : before) === role) return;
    const { level } = await rooms.authority(roomId, userId);
    if (level === Number.POSITIVE_INFINITY) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'Whoever has created the room keeps all power over it.');
    }
    const event = await rooms.stateEvent(roomId, 'm.room.power_levels', '');
    const content: JsonObject = { ...event?.pdu.content };
    const users = isJsonObject(content['users']) ? { ...content['users'] } : {};
    users[userId] = LEVELS[role];
    if (role === 'participant' && (content['users_default'] ?? 0) === 0) delete users[userId];
    if (Object.keys(users).length > MAX_WITH_LEVEL) {
      throw new MatrixError(
        400,
        'M_INVALID_PARAM',
        `At most ${String(MAX_WITH_LEVEL)} people have a role of their own.`,
      );
    }
    await rooms.send(roomId, sender, { type: 'm.room.power_levels', stateKey: '', content: { ...content, users } });
  }
}
