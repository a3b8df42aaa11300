import type { Queries } from '../pool.ts';

/** Pages of a room's history go by depth. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('CREATE INDEX events_room_depth ON events (room_id, depth, position) WHERE NOT outlier');
}
