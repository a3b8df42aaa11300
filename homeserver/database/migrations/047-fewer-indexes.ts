import type { Queries } from '../pool.ts';

/** Words are found by the words; that each message is also entered by its room costs more than it gives. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('DROP INDEX event_words_room');
}
