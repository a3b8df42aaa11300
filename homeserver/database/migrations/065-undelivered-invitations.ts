import type { Queries } from '../pool.ts';

/** Invitations to meetings that are still to be delivered, of which whoever sent them was told that it takes longer. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE undelivered_invitations (
      room_id text NOT NULL,
      target text NOT NULL,
      sender text NOT NULL,
      typed text NOT NULL,
      started_at bigint NOT NULL,
      PRIMARY KEY (room_id, target)
    )`);
}
