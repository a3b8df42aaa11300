/** Makes a meeting once for each transaction id of a user, however often the request comes. */
import type { Database } from '../database/database.ts';
import { Serial } from '../base/serial.ts';

/** Nobody tries again later than this, in ms. */
const KEPT_MS = 24 * 60 * 60 * 1000;

export class MeetingTransactions {
  readonly #db: Database;
  /** Requests with the same id wait for each other. */
  readonly #turns = new Serial();

  constructor(db: Database) {
    this.#db = db;
  }

  /** @param create makes the meeting. @returns the room id, of the first request */
  once(userId: string, transactionId: string | undefined, create: () => Promise<string>): Promise<string> {
    if (transactionId === undefined) return create();
    return this.#turns.run(`${userId} ${transactionId}`, async () => {
      const [row] = await this.#db.query<{ room_id: string }>(
        'SELECT room_id FROM meeting_transactions WHERE user_id = $1 AND transaction_id = $2',
        [userId, transactionId],
      );
      if (row) return row.room_id;
      const roomId = await create();
      await this.#db.query(
        'INSERT INTO meeting_transactions (user_id, transaction_id, room_id, created_at) VALUES ($1, $2, $3, $4)',
        [userId, transactionId, roomId, Date.now()],
      );
      await this.#db.query('DELETE FROM meeting_transactions WHERE created_at < $1', [Date.now() - KEPT_MS]);
      return roomId;
    });
  }
}
