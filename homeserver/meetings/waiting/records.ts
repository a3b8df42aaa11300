/**
 * Since when people of this instance wait, over reloads and restarts, and who has said that they want to come: who accepted
 * an invitation to a meeting in which everybody waits, or knocked. They join when they are admitted.
 */
import { DataTypes, Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';

/** Who waits without having said more is forgotten after this time, in ms. */
const KEPT_MS = 24 * 60 * 60 * 1000;

export interface WaitingRecord {
  readonly roomId: string;
  readonly userId: string;
  /** Unix ms. */
  readonly since: number;
  /** Whether they join when they are admitted, also while no client of theirs waits. */
  readonly accepted: boolean;
  /** Stream position of the invitation or knock outside of the room by which they came; a later one admits them. */
  readonly position: number;
}

interface WaitingRow extends Row<WaitingRow> {
  roomId: string;
  userId: string;
  since: number;
  accepted: boolean;
  position: number;
}

const waitingModel = defineModel<WaitingRow>('waiting_people', {
  roomId: { type: DataTypes.TEXT, primaryKey: true },
  userId: { type: DataTypes.TEXT, primaryKey: true },
  since: DataTypes.BIGINT,
  accepted: DataTypes.BOOLEAN,
  position: DataTypes.BIGINT,
});

export class WaitingRecords {
  readonly #rows: ModelStatic<WaitingRow>;

  constructor(db: Database) {
    this.#rows = waitingModel(db);
  }

  /** Keeps that somebody waits. @returns what is kept: of who waited before, since then */
  async put(record: WaitingRecord): Promise<WaitingRecord> {
    const { roomId, userId, accepted } = record;
    await this.#rows.destroy({ where: { accepted: false, since: { [Op.lt]: Date.now() - KEPT_MS } } });
    await this.#rows.bulkCreate([record], { ignoreDuplicates: true });
    if (accepted) await this.#rows.update({ accepted }, { where: { roomId, userId } });
    return (await this.find(roomId, userId)) ?? record;
  }

  async find(roomId: string, userId: string): Promise<WaitingRecord | undefined> {
    const row = await this.#rows.findOne({ where: { roomId, userId } });
    return row ? record(row) : undefined;
  }

  /** Those of a room who join when they are admitted. */
  async accepted(roomId: string): Promise<WaitingRecord[]> {
    return (await this.#rows.findAll({ where: { roomId, accepted: true } })).map(record);
  }

  /** Somebody does not wait any more; whoever has accepted still comes when admitted. */
  async stopped(roomId: string, userId: string): Promise<void> {
    await this.#rows.destroy({ where: { roomId, userId, accepted: false } });
  }

  /** Somebody is in, or wants nothing any more. */
  async remove(roomId: string, userId: string): Promise<void> {
    await this.#rows.destroy({ where: { roomId, userId } });
  }
}

function record({ roomId, userId, since, accepted, position }: WaitingRow): WaitingRecord {
  return { roomId, userId, since, accepted, position };
}
