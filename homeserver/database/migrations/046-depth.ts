import type { Database } from '../database.ts';

/** Pages of a room's history go by depth. */
export async function up({ context: db }: { context: Database }): Promise<void> {
  await db.query('CREATE INDEX events_room_depth ON events (room_id, depth, position) WHERE NOT outlier');
}
