/** Writes of several subjects in one round trip to the database. */
import type { Database, Tx } from './database.ts';

/** One `INSERT`, `UPDATE` or `DELETE` with `$1` parameters. */
export interface Write {
  readonly sql: string;
  readonly params: readonly unknown[];
}

/**
 * Runs writes as one atomic statement, without a transaction. They do not see each other's changes, so no two of them
 * may touch the same row.
 *
 * @see PostgreSQL documentation, "Data-Modifying Statements in WITH"
 */
export async function writeTogether(db: Database, writes: readonly Write[], tx?: Tx): Promise<void> {
  if (writes.length === 0) return;
  const params: unknown[] = [];
  const parts = writes.map((write, index) => {
    const before = params.length;
    params.push(...write.params);
    const sql = write.sql.replace(/\$([0-9]+)/g, (_, number: string) => `$${String(Number(number) + before)}`);
    return `w${String(index)} AS (${sql})`;
  });
  await db.query(`WITH ${parts.join(', ')} SELECT 1 AS done`, params, tx);
}
