import type { Queries } from '../pool.ts';

/** What a participant had said of itself besides media, such as a raised hand: kept as long as the place. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`ALTER TABLE conference_places ADD COLUMN signals jsonb NOT NULL DEFAULT '{}'`);
}
