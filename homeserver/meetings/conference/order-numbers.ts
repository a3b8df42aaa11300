/** The numbers of orders: ours rise over restarts, and of another server's each counts once. */
import type { Database } from '../../database/database.ts';
import { Serial } from '../../base/serial.ts';

/** So many numbers are reserved with one write. A restart leaves out the rest of them. */
const BLOCK = 1_000;

export class OrderNumbers {
  readonly #db: Pick<Database, 'query'>;
  readonly #turns = new Serial();
  #last = 0;
  #reserved = 0;

  constructor(db: Pick<Database, 'query'>) {
    this.#db = db;
  }

  /** A number higher than all that this server has given to orders. */
  next(): Promise<number> {
    return this.#turns.run('next', async () => {
      if (this.#last >= this.#reserved) {
        const [row] = await this.#db.query<{ reserved: number }>(
          `INSERT INTO order_numbers (reserved) VALUES ($1)
           ON CONFLICT (only_row) DO UPDATE SET reserved = order_numbers.reserved + $1 RETURNING reserved`,
          [BLOCK],
        );
        this.#reserved = row?.reserved ?? 0;
        this.#last = this.#reserved - BLOCK;
      }
      this.#last += 1;
      return this.#last;
    });
  }

  /** Takes a number of another server. @returns whether it is higher than all that were taken from it in this room */
  async take(server: string, roomId: string, number: number): Promise<boolean> {
    const [taken] = await this.#db.query(
      `INSERT INTO received_orders (room_id, server, number) VALUES ($1, $2, $3)
       ON CONFLICT (room_id, server) DO UPDATE SET number = excluded.number
       WHERE received_orders.number < excluded.number RETURNING number`,
      [roomId, server, number],
    );
    return taken !== undefined;
  }
}
