import type { Queries } from '../pool.ts';

/** Events that everybody in the room is to learn of while they last, whatever was said since. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE sticky_events (
      event_id text PRIMARY KEY,
      room_id text NOT NULL,
      sender text NOT NULL,
      expires_at bigint NOT NULL
    )`);
  await db.query('CREATE INDEX sticky_events_room ON sticky_events (room_id, expires_at)');
  await db.query('CREATE INDEX sticky_events_time ON sticky_events (expires_at)');
  await db.query('ALTER TABLE delayed_events ADD COLUMN sticky_ms bigint');
}
