import type { Queries } from '../pool.ts';

/** By which browser a guest came in: who was banned does not come in anew by a link that the same browser has. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('ALTER TABLE guest_link_entries ADD COLUMN browser_hash text');
  await db.query('CREATE INDEX guest_link_entries_browser ON guest_link_entries (browser_hash)');
}
