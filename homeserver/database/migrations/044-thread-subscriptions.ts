import type { Queries } from '../pool.ts';

/** Which threads people follow, and which ones they follow no more. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE thread_subscriptions (
      user_id text NOT NULL,
      room_id text NOT NULL,
      root_id text NOT NULL,
      subscribed boolean NOT NULL,
      automatic boolean NOT NULL,
      position bigint NOT NULL,
      PRIMARY KEY (user_id, room_id, root_id)
    )`);
  await db.query('CREATE INDEX thread_subscriptions_position ON thread_subscriptions (user_id, position)');
}
