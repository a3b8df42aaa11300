import type { Database } from '../database.ts';

/** Words are found by the words; that each message is also entered by its room costs more than it gives. */
export async function up({ context: db }: { context: Database }): Promise<void> {
  await db.query('DROP INDEX event_words_room');
}
