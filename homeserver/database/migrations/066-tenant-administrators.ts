import type { Queries } from '../pool.ts';

/** Who administers the tenant that they belong to, as the identity provider has said last. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('ALTER TABLE users ADD COLUMN tenant_admin boolean NOT NULL DEFAULT false');
}
