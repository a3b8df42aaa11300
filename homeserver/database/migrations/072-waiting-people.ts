import type { Queries } from '../pool.ts';

/** Who waits to be admitted to a meeting, and who joins it then although no client of theirs waits. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE waiting_people (
      room_id text NOT NULL,
      user_id text NOT NULL,
      since bigint NOT NULL,
      accepted boolean NOT NULL,
      position bigint NOT NULL,
      PRIMARY KEY (room_id, user_id)
    )`);
  await db.query('CREATE INDEX waiting_people_old ON waiting_people (since)');
}
