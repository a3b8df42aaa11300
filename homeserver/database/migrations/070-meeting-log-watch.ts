import type { Queries } from '../pool.ts';

/** Until when each conference was watched from here, so that the log of its meeting can say since when it was not. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE meeting_log_watch (
      room_id text PRIMARY KEY,
      seen_at bigint NOT NULL,
      is_open boolean NOT NULL,
      others boolean NOT NULL
    )`);
}
