import type { Queries } from '../pool.ts';

/** What happened in meetings, for those who lead them. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE meeting_log (
      id bigserial PRIMARY KEY,
      room_id text NOT NULL,
      at bigint NOT NULL,
      kind text NOT NULL,
      key text,
      by jsonb,
      whom jsonb NOT NULL,
      count integer NOT NULL,
      detail text,
      organisation text,
      until bigint
    )`);
  await db.query('CREATE UNIQUE INDEX meeting_log_key ON meeting_log (room_id, key)');
  await db.query('CREATE INDEX meeting_log_page ON meeting_log (room_id, at, id)');
  await db.query('CREATE INDEX meeting_log_old ON meeting_log (at)');
}
