/** Room aliases: local ones, remote ones by asking their servers, and who may change them. */
import { DataTypes } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import { isRoomAlias, serverOf } from '../../../federation/identifiers.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import { readLevel } from '../../../federation/power-levels.ts';
import type { Database } from '../../database/database.ts';
import { isUniqueViolation } from '../../database/errors.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { circleParameters, inCircle } from '../../engine/visibility.ts';
import type { Visibility } from '../../engine/visibility.ts';

/** The room of an alias. */
export interface Resolved {
  readonly roomId: string;
  /** Servers in the room, through which it can be joined. */
  readonly servers: string[];
}

export interface DirectoryOptions {
  readonly db: Database;
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly visibility: Visibility;
  /** Resolves an alias at another server. @throws MatrixError @throws MatrixError */
  readonly remoteAlias: (server: string, alias: string) => Promise<Resolved>;
}

interface AliasRow extends Row<AliasRow> {
  alias: string;
  roomId: string;
  creator: string;
  createdAt: number;
}

const aliasModel = defineModel<AliasRow>('room_aliases', {
  alias: { type: DataTypes.TEXT, primaryKey: true },
  roomId: DataTypes.TEXT,
  creator: DataTypes.TEXT,
  createdAt: DataTypes.BIGINT,
});

const MAX_ALT_ALIASES = 100;
/** Each added alias may need a request to another server. */
const MAX_ADDED = 20;

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #aliases: ModelStatic<AliasRow>;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#aliases = aliasModel(options.db);
  }

  /**
   * The local alias for a localpart. @throws MatrixError 400 M_INVALID_PARAM
   *
   * @throws MatrixError 400 M_INVALID_PARAM
   */
  aliasOf(localpart: string): string {
    const alias = `#${localpart}:${this.#options.serverName}`;
    if (localpart.includes(':') || !isRoomAlias(alias)) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a valid alias.');
    }
    return alias;
  }

  /** Whether a local alias exists. */
  async exists(alias: string): Promise<boolean> {
    return (await this.#find(alias)) !== undefined;
  }

  /**
   * Creates a local alias.
   *
   * @throws MatrixError 400 M_INVALID_PARAM when it is not a local alias, 409 M_UNKNOWN when it exists
   */
  async create(alias: string, roomId: string, userId: string): Promise<void> {
    const { serverName } = this.#options;
    if (!isRoomAlias(alias) || serverOf(alias) !== serverName) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a valid alias of this server.');
    }
    try {
      await this.#aliases.create({ alias, roomId, creator: userId, createdAt: Date.now() });
    } catch (error) {
      throw isUniqueViolation(error) ? new MatrixError(409, 'M_UNKNOWN', `The alias ${alias} is taken.`) : error;
    }
  }

  /** Like `create`, for a user who has to be in the room. @throws MatrixError 403 @throws MatrixError 403 */
  async createBy(alias: string, roomId: string, userId: string): Promise<void> {
    if ((await this.#options.rooms.membership(roomId, userId)) !== 'join') {
      throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
    }
    await this.create(alias, roomId, userId);
  }

  /**
   * Deletes an alias: its creator may, administrators, and users who may send `m.room.canonical_alias`. If the room
   * names it there, it is removed from there too, if the user may do that.
   *
   * @param admin whether the user is an administrator
   * @throws MatrixError 404, 403
   */
  async remove(alias: string, userId: string, admin = false): Promise<void> {
    const { rooms } = this.#options;
    const found = await this.#find(alias);
    if (!found) throw noSuchAlias();
    const allowed = admin || found.creator === userId || (await this.mayList(found.roomId, userId));
    if (!allowed && !(await this.#isFor(userId, alias))) throw noSuchAlias();
    if (!allowed) throw new MatrixError(403, 'M_FORBIDDEN', 'You may not remove this alias.');
    await this.#aliases.destroy({ where: { alias } });

    const event = await rooms.stateEvent(found.roomId, 'm.room.canonical_alias', '');
    const content = event && without(event.pdu.content, alias);
    if (!content) return;
    try {
      await rooms.send(found.roomId, userId, { type: 'm.room.canonical_alias', stateKey: '', content });
    } catch (error) {
      // The alias is deleted all the same; the room keeps naming it until somebody with the power level removes it.
      if (!(error instanceof MatrixError)) throw error;
    }
  }

  /**
   * Resolves an alias; a remote one is requested from its server.
   *
   * @param userId who asks: aliases of another tenant are unknown to them, unless they are in the room or invited
   * @throws MatrixError 400 M_INVALID_PARAM, 404 M_NOT_FOUND
   */
  async resolve(alias: string, userId?: string): Promise<Resolved> {
    if (!isRoomAlias(alias)) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a room alias.');
    if (userId !== undefined && !(await this.#isFor(userId, alias))) throw unknownAlias(alias);
    const server = serverOf(alias);
    if (server === this.#options.serverName) return this.resolveLocal(alias);
    const resolved = await this.#options.remoteAlias(server, alias);
    // The server of the alias comes last: the others are more likely to be in the room.
    return { roomId: resolved.roomId, servers: [...new Set([...resolved.servers, server])] };
  }

  /** @throws MatrixError 404 M_NOT_FOUND */
  async resolveLocal(alias: string): Promise<Resolved> {
    const { rooms, serverName } = this.#options;
    const found = await this.#find(alias);
    if (!found) throw unknownAlias(alias);
    const servers = await rooms.joinedServers(found.roomId);
    servers.delete(serverName);
    return { roomId: found.roomId, servers: [serverName, ...servers] };
  }

  /** Local aliases of a room, oldest first. */
  async aliases(roomId: string): Promise<string[]> {
    const rows = await this.#aliases.findAll({ where: { roomId }, order: ['createdAt', 'alias'] });
    return rows.map((row) => row.alias);
  }

  /** Moves the aliases of a room to the one that replaces it. */
  async move(from: string, to: string): Promise<void> {
    await this.#aliases.update({ roomId: to }, { where: { roomId: from } });
  }

  /**
   * Checks new content of `m.room.canonical_alias`: every added alias has to point to the room.
   *
   * @throws MatrixError 400 M_INVALID_PARAM for a malformed alias, 400 M_BAD_ALIAS for one of another room
   * @see Matrix specification, client-server API, "m.room.canonical_alias"
   */
  async checkCanonical(roomId: string, content: JsonObject): Promise<void> {
    const before = (await this.#options.rooms.stateEvent(roomId, 'm.room.canonical_alias', ''))?.pdu.content;
    const known = new Set(before ? named(before) : []);
    const others = member(content, 'alt_aliases') ?? [];
    if (!Array.isArray(others) || others.length > MAX_ALT_ALIASES) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'alt_aliases is malformed.');
    }
    const added: string[] = [];
    for (const alias of named(content)) {
      if (typeof alias !== 'string' || !isRoomAlias(alias)) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a room alias.');
      }
      if (!known.has(alias)) added.push(alias);
    }
    if (added.length > MAX_ADDED) throw new MatrixError(400, 'M_INVALID_PARAM', 'Too many aliases were added at once.');
    await Promise.all(
      added.map(async (alias) => {
        if (!(await this.#leadsTo(alias, roomId))) {
          throw new MatrixError(400, 'M_BAD_ALIAS', `The alias ${alias} does not point to this room.`);
        }
      }),
    );
  }

  async #leadsTo(alias: string, roomId: string): Promise<boolean> {
    try {
      return (await this.resolve(alias)).roomId === roomId;
    } catch (error) {
      if (error instanceof MatrixError) return false;
      throw error;
    }
  }

  /** Whether a user may change how the room is listed: those who may send `m.room.canonical_alias`. */
  async mayList(roomId: string, userId: string): Promise<boolean> {
    const { rooms } = this.#options;
    if ((await rooms.membership(roomId, userId)) !== 'join') return false;
    const levels = (await rooms.stateEvent(roomId, 'm.room.power_levels', ''))?.pdu.content;
    const events = member(levels, 'events');
    const own = isJsonObject(events) ? readLevel(member(events, 'm.room.canonical_alias')) : undefined;
    const needed = own ?? readLevel(member(levels, 'state_default')) ?? 50;
    return (await rooms.powerLevel(roomId, userId)) >= needed;
  }

  /** Whether a local alias was made in the tenant of a user, or names a room that they are in or invited to. */
  async #isFor(userId: string, alias: string): Promise<boolean> {
    const { db, rooms, serverName, visibility } = this.#options;
    const circle = await visibility.circleOf(userId);
    const found = circle && serverOf(alias) === serverName ? await this.#find(alias) : undefined;
    if (found === undefined) return true;
    const rows = await db.query(`SELECT 1 FROM users WHERE localpart = $1 AND ${inCircle('tenant', 2)}`, [
      found.creator.slice(1, -serverName.length - 1),
      ...circleParameters(circle),
    ]);
    if (rows.length > 0) return true;
    const membership = await rooms.membership(found.roomId, userId);
    return membership === 'join' || membership === 'invite';
  }

  async #find(alias: string): Promise<AliasRow | undefined> {
    return (await this.#aliases.findByPk(alias)) ?? undefined;
  }
}

function noSuchAlias(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'No such alias on this server.');
}

function unknownAlias(alias: string): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', `No room has the alias ${alias}.`);
}

/** The aliases in the content, unvalidated. */
function named(content: JsonObject): JsonValue[] {
  const alias = member(content, 'alias') ?? '';
  const others = member(content, 'alt_aliases');
  return [...(alias === '' ? [] : [alias]), ...(Array.isArray(others) ? others : [])];
}

/** The content without an alias; undefined when it does not have it. */
function without(content: JsonObject, alias: string): JsonObject | undefined {
  const others = member(content, 'alt_aliases');
  const isMain = member(content, 'alias') === alias;
  const isOther = Array.isArray(others) && others.includes(alias);
  if (!isMain && !isOther) return undefined;
  const { alias: main, alt_aliases: _others, ...rest } = content;
  const left = Array.isArray(others) ? others.filter((other) => other !== alias) : [];
  return {
    ...rest,
    ...(isMain || main === undefined ? {} : { alias: main }),
    ...(left.length === 0 ? {} : { alt_aliases: left }),
  };
}
