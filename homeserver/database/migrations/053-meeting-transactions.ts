import type { Queries } from '../pool.ts';

/** Which meeting a client's request has made, so that trying again after a lost answer makes no second one. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE meeting_transactions (
      user_id text NOT NULL,
      transaction_id text NOT NULL,
      room_id text NOT NULL,
      created_at bigint NOT NULL,
      PRIMARY KEY (user_id, transaction_id)
    )`);
  await db.query('CREATE INDEX meeting_transactions_age ON meeting_transactions (created_at)');
}
