import type { Queries } from '../pool.ts';

/** What people report to those who run the server. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE reports (
      report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      reporter text NOT NULL,
      room_id text,
      event_id text,
      user_id text,
      reason text,
      score integer,
      reported_at bigint NOT NULL
    )`);
  await db.query('CREATE INDEX reports_reporter ON reports (reporter, reported_at)');
}
