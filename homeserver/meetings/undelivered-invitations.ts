/** Invitations that are still to be delivered, kept so that a restart does not lose them. */
import { DataTypes } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Database } from '../database/database.ts';
import { defineModel } from '../database/models.ts';
import type { Row } from '../database/models.ts';
import { Serial } from '../base/serial.ts';

export interface UndeliveredInvitation {
  readonly roomId: string;
  /** User id of whom it invites. */
  readonly target: string;
  readonly sender: string;
  /** The target as the sender wrote it. */
  readonly typed: string;
  /** Unix ms. */
  readonly startedAt: number;
}

interface UndeliveredRow extends Row<UndeliveredRow> {
  roomId: string;
  target: string;
  sender: string;
  typed: string;
  startedAt: number;
}

const undeliveredModel = defineModel<UndeliveredRow>('undelivered_invitations', {
  roomId: { type: DataTypes.TEXT, primaryKey: true },
  target: { type: DataTypes.TEXT, primaryKey: true },
  sender: DataTypes.TEXT,
  typed: DataTypes.TEXT,
  startedAt: DataTypes.BIGINT,
});

export class UndeliveredInvitations {
  readonly #rows: ModelStatic<UndeliveredRow>;
  /** The end of an invitation is written after its beginning. */
  readonly #turns = new Serial();

  constructor(db: Database) {
    this.#rows = undeliveredModel(db);
  }

  async put({ roomId, target, sender, typed, startedAt }: UndeliveredInvitation): Promise<void> {
    await this.#turns.run(`${roomId} ${target}`, async () => {
      await this.#rows.upsert({ roomId, target, sender, typed, startedAt }, { returning: false });
    });
  }

  async remove(roomId: string, target: string): Promise<void> {
    await this.#turns.run(`${roomId} ${target}`, async () => {
      await this.#rows.destroy({ where: { roomId, target } });
    });
  }

  /** The oldest first. */
  async all(): Promise<UndeliveredInvitation[]> {
    return (await this.#rows.findAll({ order: ['startedAt'] })).map((row) => row.get());
  }
}
