import type { Queries } from '../pool.ts';

/** What a message that waits for another server is about: of many about the same thing the newest is enough. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('ALTER TABLE outbound_queue ADD COLUMN about text');
}
