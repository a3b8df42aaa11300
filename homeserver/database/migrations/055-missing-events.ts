import type { Queries } from '../pool.ts';

/** Events that come before accepted ones of a room, and that we do not have. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE missing_events (
      room_id text NOT NULL,
      event_id text NOT NULL,
      PRIMARY KEY (room_id, event_id)
    )`);
}
