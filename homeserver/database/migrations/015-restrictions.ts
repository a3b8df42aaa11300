import type { Queries } from '../pool.ts';

/** Accounts that administrators have locked or suspended. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    ALTER TABLE users
      ADD COLUMN locked boolean NOT NULL DEFAULT false,
      ADD COLUMN suspended boolean NOT NULL DEFAULT false`);
}
