import type { Queries } from '../pool.ts';

/**
 * Numbers of orders between instances, so that none is taken twice: up to which number ours may be given away, and the
 * last one taken from each server in each room. And who was removed from a conference by an order whose room event is
 * still to come.
 */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE order_numbers (
      only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
      reserved bigint NOT NULL
    )`);
  await db.query(`
    CREATE TABLE received_orders (
      room_id text NOT NULL,
      server text NOT NULL,
      number bigint NOT NULL,
      PRIMARY KEY (room_id, server)
    )`);
  await db.query(`
    CREATE TABLE conference_removals (
      room_id text NOT NULL,
      user_id text NOT NULL,
      event_id text NOT NULL,
      removed_at bigint NOT NULL,
      PRIMARY KEY (room_id, user_id)
    )`);
}
