import type { Queries } from '../pool.ts';

/** Sources of other organisations' people that were ordered to be paused and are not taken until they were. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE conference_silences (
      room_id text NOT NULL,
      participant_id text NOT NULL,
      sources jsonb NOT NULL,
      silenced_at bigint NOT NULL,
      PRIMARY KEY (room_id, participant_id)
    )`);
}
