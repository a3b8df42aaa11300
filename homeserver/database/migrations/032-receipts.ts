import type { Queries } from '../pool.ts';

/** How far each user has read in each room, of all (thread '') or of one thread. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE receipts (
      room_id text NOT NULL,
      user_id text NOT NULL,
      kind text NOT NULL,
      thread_id text NOT NULL,
      event_id text NOT NULL,
      event_position bigint,
      at bigint NOT NULL,
      position bigint NOT NULL,
      PRIMARY KEY (room_id, user_id, kind, thread_id)
    )`);
  await db.query('CREATE INDEX receipts_room ON receipts (room_id, position)');
  await db.query('CREATE INDEX receipts_user ON receipts (user_id, room_id)');
}
