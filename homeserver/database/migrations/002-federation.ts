import type { Queries } from '../pool.ts';

/** Federation: keys of other servers, what waits to be sent to them, and what they have sent. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('CREATE TABLE server_keys (server text PRIMARY KEY, json text NOT NULL)');
  await db.query(`
    CREATE TABLE outbound_queue (
      position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      destination text NOT NULL,
      kind text NOT NULL,
      json text NOT NULL
    )`);
  await db.query('CREATE INDEX outbound_queue_destination ON outbound_queue (destination, position)');
  await db.query(`
    CREATE TABLE inbound_transactions (
      origin text NOT NULL,
      transaction_id text NOT NULL,
      response text NOT NULL,
      received_at bigint NOT NULL,
      PRIMARY KEY (origin, transaction_id)
    )`);
  await db.query('CREATE INDEX inbound_transactions_age ON inbound_transactions (received_at)');
}
