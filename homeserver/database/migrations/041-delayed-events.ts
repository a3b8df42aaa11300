import type { Queries } from '../pool.ts';

/** Events that are to be sent later, unless their sender puts that off. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE delayed_events (
      delay_id text PRIMARY KEY,
      user_id text NOT NULL,
      device_id text NOT NULL,
      room_id text NOT NULL,
      type text NOT NULL,
      state_key text,
      content text NOT NULL,
      delay_ms bigint NOT NULL,
      running_since bigint NOT NULL,
      send_at bigint NOT NULL,
      transaction_id text
    )`);
  await db.query(`
    CREATE UNIQUE INDEX delayed_events_transaction
    ON delayed_events (user_id, device_id, room_id, type, transaction_id) WHERE transaction_id IS NOT NULL`);
  await db.query('CREATE INDEX delayed_events_time ON delayed_events (send_at)');
  await db.query('CREATE INDEX delayed_events_user ON delayed_events (user_id)');
  await db.query('CREATE INDEX delayed_events_state ON delayed_events (room_id, type, state_key)');
}
