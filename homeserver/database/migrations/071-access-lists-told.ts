import type { Queries } from '../pool.ts';

/** Access lists of rooms that an order told of, until the room has the event. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE conference_access_lists (
      room_id text PRIMARY KEY,
      event_id text NOT NULL,
      content jsonb NOT NULL,
      told_at bigint NOT NULL
    )`);
}
