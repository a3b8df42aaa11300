import type { Queries } from '../pool.ts';

/** The mail address of somebody, when the identity provider has verified it: by it, and by no other, people are found. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('ALTER TABLE users ADD COLUMN email text');
  await db.query('CREATE INDEX users_email ON users (lower(email)) WHERE email IS NOT NULL');
}
