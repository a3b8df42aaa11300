import type { Queries } from '../pool.ts';

/** Which guests came in by which link: when the link is revoked, they go with it. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE guest_link_entries (
      link_id text NOT NULL REFERENCES guest_links ON DELETE CASCADE,
      user_id text NOT NULL,
      PRIMARY KEY (link_id, user_id)
    )`);
}
