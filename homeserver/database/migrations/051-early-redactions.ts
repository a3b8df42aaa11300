import type { Queries } from '../pool.ts';

/** Redactions of events that have not come yet. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE early_redactions (
      event_id text PRIMARY KEY,
      room_id text NOT NULL,
      target_id text NOT NULL,
      sender text NOT NULL,
      anybodys boolean NOT NULL
    )`);
  await db.query('CREATE INDEX early_redactions_target ON early_redactions (target_id)');
  // What was said and taken back is not kept, not even as words.
  await db.query(
    'DELETE FROM event_words USING events WHERE events.event_id = event_words.event_id AND redacted_by IS NOT NULL',
  );
}
