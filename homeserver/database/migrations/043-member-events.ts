import type { Queries } from '../pool.ts';

/** Membership events of somebody in a room: people are found by the names in them. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE INDEX events_members ON events (state_key, room_id, depth)
    WHERE type = 'm.room.member' AND state_key IS NOT NULL`);
}
