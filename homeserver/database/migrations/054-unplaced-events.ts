import type { Queries } from '../pool.ts';

/** Of each server in a room its deepest event that could not be put in its place yet. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE unplaced_events (
      room_id text NOT NULL,
      origin text NOT NULL,
      event_id text NOT NULL,
      depth bigint NOT NULL,
      json text NOT NULL,
      tries integer NOT NULL,
      next_try bigint NOT NULL,
      PRIMARY KEY (room_id, origin)
    )`);
  await db.query('CREATE INDEX unplaced_events_time ON unplaced_events (next_try)');
}
