import type { Queries } from '../pool.ts';

/** The room in which the server itself writes to somebody. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE server_notice_rooms (
      localpart text PRIMARY KEY REFERENCES users,
      room_id text NOT NULL UNIQUE
    )`);
}
