import type { Queries } from '../pool.ts';

/**
 * What a guest link is for and what bounds it. Its secret is sealed by the server's key, so that it can be copied again.
 * Entries are also of people with accounts, as they count as uses.
 */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    ALTER TABLE guest_links
      ADD COLUMN purpose text,
      ADD COLUMN max_uses integer,
      ADD COLUMN mode text NOT NULL DEFAULT 'direct',
      ADD COLUMN password_hash text,
      ADD COLUMN token_sealed bytea,
      ADD COLUMN guests_removed boolean NOT NULL DEFAULT false`);
  await db.query('ALTER TABLE guest_link_entries ADD COLUMN guest boolean NOT NULL DEFAULT true');
}
