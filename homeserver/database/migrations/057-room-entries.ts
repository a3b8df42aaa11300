import type { Queries } from '../pool.ts';

/** The join by which this server came into a room last; null where it made it, or came in before this was noted. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('ALTER TABLE rooms ADD COLUMN entered_by text');
}
