import type { Queries } from '../pool.ts';

/** Whether a server is in a room with us is asked before its keys are fetched, and anybody can lead to that. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`CREATE INDEX room_members_of_server ON room_members (server, room_id) WHERE membership = 'join'`);
}
