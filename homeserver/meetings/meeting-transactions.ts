/** Makes a meeting once for each transaction id of a user, however often the request comes. */
import { DataTypes, Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Database } from '../database/database.ts';
import { defineModel } from '../database/models.ts';
import type { Row } from '../database/models.ts';
import { Serial } from '../base/serial.ts';

/** Nobody tries again later than this, in ms. */
const KEPT_MS = 24 * 60 * 60 * 1000;

interface TransactionRow extends Row<TransactionRow> {
  userId: string;
  transactionId: string;
  roomId: string;
  createdAt: number;
}

const transactionModel = defineModel<TransactionRow>('meeting_transactions', {
  userId: { type: DataTypes.TEXT, primaryKey: true },
  transactionId: { type: DataTypes.TEXT, primaryKey: true },
  roomId: DataTypes.TEXT,
  createdAt: DataTypes.BIGINT,
});

export class MeetingTransactions {
  readonly #transactions: ModelStatic<TransactionRow>;
  /** Requests with the same id wait for each other. */
  readonly #turns = new Serial();

  constructor(db: Database) {
    this.#transactions = transactionModel(db);
  }

  /** @param create makes the meeting. @returns the room id, of the first request */
  once(userId: string, transactionId: string | undefined, create: () => Promise<string>): Promise<string> {
    if (transactionId === undefined) return create();
    return this.#turns.run(`${userId} ${transactionId}`, async () => {
      const earlier = await this.#transactions.findOne({ where: { userId, transactionId } });
      if (earlier) return earlier.roomId;
      const roomId = await create();
      const now = Date.now();
      await this.#transactions.create({ userId, transactionId, roomId, createdAt: now });
      await this.#transactions.destroy({ where: { createdAt: { [Op.lt]: now - KEPT_MS } } });
      return roomId;
    });
  }
}
