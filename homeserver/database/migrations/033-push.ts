import type { Queries } from '../pool.ts';

/** Events that are of notice to users, how far users have read, and where their devices want to be told. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE push_actions (
      user_id text NOT NULL,
      room_id text NOT NULL,
      event_id text NOT NULL,
      position bigint NOT NULL,
      thread_id text NOT NULL,
      highlight boolean NOT NULL,
      actions text NOT NULL,
      at bigint NOT NULL,
      PRIMARY KEY (user_id, event_id)
    )`);
  await db.query('CREATE INDEX push_actions_room ON push_actions (user_id, room_id, position)');
  await db.query('CREATE INDEX push_actions_user ON push_actions (user_id, position)');
  await db.query('CREATE INDEX push_actions_event ON push_actions (event_id)');
  await db.query('CREATE INDEX push_actions_age ON push_actions (at)');
  // Thread '' stands for all threads.
  await db.query(`
    CREATE TABLE push_read (
      user_id text NOT NULL,
      room_id text NOT NULL,
      thread_id text NOT NULL,
      position bigint NOT NULL,
      PRIMARY KEY (user_id, room_id, thread_id)
    )`);
  await db.query(`
    CREATE TABLE pushers (
      user_id text NOT NULL,
      app_id text NOT NULL,
      pushkey text NOT NULL,
      device_id text NOT NULL,
      json text NOT NULL,
      position bigint NOT NULL,
      pushed_at bigint NOT NULL,
      PRIMARY KEY (app_id, pushkey, user_id)
    )`);
  await db.query('CREATE INDEX pushers_user ON pushers (user_id)');
}
