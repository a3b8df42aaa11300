import type { Queries } from '../pool.ts';

/** Of each server in a room some events that could not be put in their place yet: its history may have forks. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    ALTER TABLE unplaced_events
      DROP CONSTRAINT unplaced_events_pkey,
      ADD PRIMARY KEY (room_id, origin, event_id)`);
}
