/**
 * Who was removed from a meeting by an order whose room event has not come yet. Until it has, the room says that the
 * person is in it, and only this keeps the door shut; from then on the room alone counts.
 */
import { DataTypes, Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';

/** An event that has not come by then will not come, in ms. */
const KEPT_MS = 24 * 60 * 60 * 1000;

interface RemovalRow extends Row<RemovalRow> {
  roomId: string;
  userId: string;
  eventId: string;
  /** Unix ms. */
  removedAt: number;
}

const removalModel = defineModel<RemovalRow>('conference_removals', {
  roomId: { type: DataTypes.TEXT, primaryKey: true },
  userId: { type: DataTypes.TEXT, primaryKey: true },
  eventId: DataTypes.TEXT,
  removedAt: DataTypes.BIGINT,
});

export class Removals {
  readonly #removals: ModelStatic<RemovalRow>;
  readonly #rooms: Pick<Rooms, 'event'>;

  constructor(db: Database, rooms: Pick<Rooms, 'event'>) {
    this.#removals = removalModel(db);
    this.#rooms = rooms;
  }

  async add(roomId: string, userId: string, eventId: string): Promise<void> {
    await this.#removals.upsert({ roomId, userId, eventId, removedAt: Date.now() }, { returning: false });
    await this.#removals.destroy({ where: { removedAt: { [Op.lt]: Date.now() - KEPT_MS } } });
  }

  /** Whether somebody was removed by an event that the room does not have yet. */
  async holds(roomId: string, userId: string): Promise<boolean> {
    const row = await this.#removals.findOne({ where: { roomId, userId } });
    if (!row || row.removedAt < Date.now() - KEPT_MS) return false;
    const event = await this.#rooms.event(row.eventId);
    if (!event || event.outlier) return true;
    await row.destroy();
    return false;
  }
}
