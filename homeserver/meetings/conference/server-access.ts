/**
 * Which servers may take part in the conference of a room: by the room's access list, and by one that an order of an owner
 * told of and that the room does not have yet. That one can shut out more than the room does, and let nobody in: until its
 * event has come, only it keeps the door shut; from then on the room alone counts.
 */
import { DataTypes, Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import { z } from 'zod';
import { isJsonObject, type JsonObject } from '../../../federation/json.ts';
import { serverAllowed } from '../../../federation/server-acl.ts';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';

/** An event that has not come by then will not come, in ms. */
const KEPT_MS = 24 * 60 * 60 * 1000;

interface AccessListRow extends Row<AccessListRow> {
  roomId: string;
  eventId: string;
  content: object;
  /** Unix ms. */
  toldAt: number;
}

const accessListModel = defineModel<AccessListRow>('conference_access_lists', {
  roomId: { type: DataTypes.TEXT, primaryKey: true },
  eventId: DataTypes.TEXT,
  content: DataTypes.JSONB,
  toldAt: DataTypes.BIGINT,
});
const contentSchema = z.custom<JsonObject>(isJsonObject);

interface Told {
  readonly eventId: string;
  readonly content: JsonObject;
  readonly toldAt: number;
}

export class ServerAccess {
  readonly #lists: ModelStatic<AccessListRow>;
  readonly #rooms: Pick<Rooms, 'serverAllowed' | 'event'>;
  /** Asked with each live message: what the table has, read once. */
  #told: Promise<Map<string, Told>> | undefined;

  constructor(db: Database, rooms: Pick<Rooms, 'serverAllowed' | 'event'>) {
    this.#lists = accessListModel(db);
    this.#rooms = rooms;
  }

  /** Whether a server may take part in the conference of a room. */
  async allowed(roomId: string, server: string): Promise<boolean> {
    if (!(await this.#rooms.serverAllowed(roomId, server))) return false;
    const list = await this.#pending(roomId);
    return list === undefined || serverAllowed(list, server);
  }

  /** An order told of this access list, whose event the room may not have yet. */
  async tell(roomId: string, eventId: string, content: JsonObject): Promise<void> {
    const told = await this.#all();
    const list = { eventId, content, toldAt: Date.now() };
    told.set(roomId, list);
    await this.#lists.upsert({ roomId, ...list }, { returning: false });
    await this.#lists.destroy({ where: { toldAt: { [Op.lt]: Date.now() - KEPT_MS } } });
  }

  async #pending(roomId: string): Promise<JsonObject | undefined> {
    const told = await this.#all();
    const list = told.get(roomId);
    if (!list) return undefined;
    const event = list.toldAt < Date.now() - KEPT_MS ? undefined : await this.#rooms.event(list.eventId);
    const isOver = list.toldAt < Date.now() - KEPT_MS || (event !== undefined && !event.outlier);
    if (!isOver) return list.content;
    if (told.get(roomId) !== list) return this.#pending(roomId);
    told.delete(roomId);
    await this.#lists.destroy({ where: { roomId, eventId: list.eventId } });
    return undefined;
  }

  async #all(): Promise<Map<string, Told>> {
    this.#told ??= this.#read();
    try {
      return await this.#told;
    } catch (error) {
      this.#told = undefined;
      throw error;
    }
  }

  async #read(): Promise<Map<string, Told>> {
    const rows = await this.#lists.findAll();
    return new Map(
      rows.map(({ roomId, eventId, content, toldAt }) => [
        roomId,
        { eventId, content: contentSchema.parse(content), toldAt: Number(toldAt) },
      ]),
    );
  }
}
