/**
 * The places that our participants hold in conferences, kept in the database so that a crash of the homeserver
 * leaves nobody behind: whoever does not come back afterwards is taken out (the meaning of MSC4140's delayed leave).
 */
import { DataTypes } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import { type Signals, signalsSchema } from '../../../protocol/modules/list.ts';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';

export interface Place {
  roomId: string;
  userId: string;
  deviceId: string;
  /** Unix ms. */
  joinedAt: number;
  signals: Signals;
}

interface PlaceRow extends Row<PlaceRow>, Omit<Place, 'signals'> {
  signals: object;
}

const placeModel = defineModel<PlaceRow>('conference_places', {
  roomId: { type: DataTypes.TEXT, primaryKey: true },
  userId: { type: DataTypes.TEXT, primaryKey: true },
  deviceId: { type: DataTypes.TEXT, primaryKey: true },
  joinedAt: DataTypes.BIGINT,
  signals: DataTypes.JSONB,
});

export class Places {
  readonly #places: ModelStatic<PlaceRow>;

  constructor(db: Database) {
    this.#places = placeModel(db);
  }

  /** Writes a place, or what is new of it. */
  async put({ roomId, userId, deviceId, joinedAt, signals }: Place): Promise<void> {
    await this.#places.upsert({ roomId, userId, deviceId, joinedAt, signals }, { returning: false });
  }

  async remove(roomId: string, userId: string, deviceId: string): Promise<void> {
    await this.#places.destroy({ where: { roomId, userId, deviceId } });
  }

  async all(): Promise<Place[]> {
    const rows = await this.#places.findAll();
    return rows.map((row) => row.get()).map((row) => ({ ...row, signals: signalsSchema.parse(row.signals) }));
  }
}
