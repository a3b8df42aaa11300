/**
 * The account that makes the meetings of this server. The creator of a room has infinite power for ever, so no person is
 * one: whoever makes a meeting owns it, and can leave it, without the meeting depending on it. The service user acts by
 * itself only for what the meeting's settings and the organisation's rules say.
 */
import { serverOf } from '../../federation/event.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { MEETINGS_ACCOUNT } from '../accounts/localpart.ts';
import type { CreateRoomOptions, Rooms } from '../engine/rooms/rooms.ts';
import { localpartOf } from './people.ts';

export interface ServiceUserOptions {
  readonly accounts: Pick<Accounts, 'userId' | 'makeOwn'>;
  readonly rooms: Pick<Rooms, 'create' | 'memberships' | 'membership' | 'stateEvent'>;
  /** Name of the organisation, as which others see it. */
  readonly organisation: string;
}

export class ServiceUser {
  readonly #options: ServiceUserOptions;
  readonly userId: string;
  /** Made when it is needed first. */
  #account: Promise<void> | undefined;

  constructor(options: ServiceUserOptions) {
    this.#options = options;
    this.userId = options.accounts.userId(MEETINGS_ACCOUNT);
  }

  /** Makes a room that nobody else is in yet. @returns the room id */
  async create(options: CreateRoomOptions): Promise<string> {
    const { accounts, rooms, organisation } = this.#options;
    this.#account ??= accounts.makeOwn(MEETINGS_ACCOUNT, organisation).catch((error: unknown) => {
      this.#account = undefined;
      throw error;
    });
    await this.#account;
    return rooms.create(this.userId, options);
  }

  /** Whether it has made a room, and so lets people in. */
  async hosts(roomId: string): Promise<boolean> {
    const create = await this.#options.rooms.stateEvent(roomId, 'm.room.create', '');
    return create?.pdu.sender === this.userId;
  }

  /** Lets a user of this server into a room of its own. @throws MatrixError 403 for somebody who may not enter */
  async admit(roomId: string, userId: string): Promise<void> {
    await this.#options.rooms.memberships.admit(roomId, this.userId, userId);
  }
}

/**
 * Whether a member is the service user of the server that has made a meeting: no person to show or to count. Of a server
 * that has not made it, an account of that name is one like any other.
 *
 * @param creator the sender of the create event
 */
export function isServiceUser(userId: string, creator: string): boolean {
  return userId === creator && localpartOf(userId) === MEETINGS_ACCOUNT;
}

/** Whether everybody of a server who is in a meeting is its service user. */
export function isHostOnly(server: string, creator: string, joined: Iterable<string>): boolean {
  if (server !== serverOf(creator) || !isServiceUser(creator, creator)) return false;
  for (const userId of joined) if (userId !== creator && serverOf(userId) === server) return false;
  return true;
}
