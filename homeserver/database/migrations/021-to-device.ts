import type { Queries } from '../pool.ts';

/** Messages from device to device, until they are acknowledged. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE to_device (
      user_id text NOT NULL,
      device_id text NOT NULL,
      position bigint NOT NULL,
      sender text NOT NULL,
      type text NOT NULL,
      content text NOT NULL,
      PRIMARY KEY (user_id, device_id, position)
    )`);
  // An answer that could not hold all messages up to its token: so far it went.
  await db.query(`
    CREATE TABLE to_device_cuts (
      user_id text NOT NULL,
      device_id text NOT NULL,
      token bigint NOT NULL,
      position bigint NOT NULL,
      PRIMARY KEY (user_id, device_id, token)
    )`);
  await db.query(`
    CREATE TABLE to_device_sent (
      user_id text NOT NULL,
      device_id text NOT NULL,
      scope text NOT NULL,
      created_at bigint NOT NULL,
      PRIMARY KEY (user_id, device_id, scope)
    )`);
  await db.query('CREATE INDEX to_device_sent_age ON to_device_sent (created_at)');
  await db.query(`
    CREATE TABLE to_device_received (
      origin text NOT NULL,
      message_id text NOT NULL,
      received_at bigint NOT NULL,
      PRIMARY KEY (origin, message_id)
    )`);
  await db.query('CREATE INDEX to_device_received_age ON to_device_received (received_at)');
}
