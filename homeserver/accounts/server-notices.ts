/**
 * Server notices: each user gets one room with the server. They cannot reject its invite.
 *
 * @see Matrix specification, client-server API, "Server Notices"
 */
import type { JsonObject } from '../../federation/json.ts';
import type { Database } from '../database/database.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Accounts } from './accounts.ts';
import { isServerAccount } from './localpart.ts';
import { noticeRoomModel } from './tables.ts';

export interface ServerNoticesOptions {
  readonly db: Database;
  readonly accounts: Accounts;
  readonly rooms: Rooms;
  /** Display name of the organisation, which is the sender's name. */
  readonly organisation: string;
}

export interface Notice {
  readonly userId: string;
  readonly type: string;
  readonly stateKey?: string | undefined;
  readonly content: JsonObject;
  /** A notice is sent once per transaction id. */
  readonly transactionId?: string | undefined;
}

const WRITER = '_server';

export class ServerNotices {
  readonly #options: ServerNoticesOptions;
  readonly #roomIds: Set<string>;
  readonly #busy = new Map<string, Promise<string>>();

  private constructor(options: ServerNoticesOptions, roomIds: Iterable<string>) {
    this.#options = options;
    this.#roomIds = new Set(roomIds);
  }

  static async open(options: ServerNoticesOptions): Promise<ServerNotices> {
    const rows = await noticeRoomModel(options.db).findAll();
    return new ServerNotices(
      options,
      rows.map((row) => row.roomId),
    );
  }

  /**
   * Sends a notice to a local user, and invites them if they are not in the room.
   *
   * @returns the event id
   * @throws MatrixError 404 for an unknown user
   */
  async send({ userId, type, stateKey, content, transactionId }: Notice): Promise<string> {
    const { accounts, rooms } = this.#options;
    if (isServerAccount(userId) || !(await accounts.exists(userId)))
      throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
    const roomId = await this.#roomOf(userId);
    const membership = await rooms.membership(roomId, userId);
    if (membership !== 'join' && membership !== 'invite') await rooms.invite(roomId, this.#writer, userId);
    const { eventId } = await rooms.send(roomId, this.#writer, {
      type,
      content,
      ...(stateKey === undefined ? {} : { stateKey }),
      ...(transactionId === undefined ? {} : { transactionId, deviceId: 'server-notices' }),
    });
    return eventId;
  }

  /**
   * @throws MatrixError 403 M_CANNOT_LEAVE_SERVER_NOTICE_ROOM for an invite to a server notice room
   *
   * @throws MatrixError 403 M_CANNOT_LEAVE_SERVER_NOTICE_ROOM for an invitation of the server itself
   */
  async requireMayLeave(roomId: string, userId: string): Promise<void> {
    if (!this.#roomIds.has(roomId) || (await this.#options.rooms.membership(roomId, userId)) !== 'invite') return;
    throw new MatrixError(
      403,
      'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM',
      'You cannot reject this invite: the room is for notices of your server.',
    );
  }

  get #writer(): string {
    return this.#options.accounts.userId(WRITER);
  }

  /** One room, even for concurrent notices. */
  async #roomOf(userId: string): Promise<string> {
    const running = this.#busy.get(userId);
    if (running) return running;
    const room = this.#findOrMake(userId).finally(() => this.#busy.delete(userId));
    this.#busy.set(userId, room);
    return room;
  }

  async #findOrMake(userId: string): Promise<string> {
    const { db, accounts, rooms, organisation } = this.#options;
    const localpart = accounts.localpart(userId) ?? '';
    const noticeRooms = noticeRoomModel(db);
    const known = await noticeRooms.findByPk(localpart);
    if (known) return known.roomId;
    await accounts.makeOwn(WRITER, organisation);
    const roomId = await rooms.create(this.#writer, {
      name: organisation,
      preset: 'private_chat',
      invite: [userId],
      // Users can only read here, and nobody else may join.
      powerLevelContentOverride: { users_default: -10, events_default: 0, invite: 100 },
    });
    await noticeRooms.create({ localpart, roomId });
    this.#roomIds.add(roomId);
    return roomId;
  }
}
