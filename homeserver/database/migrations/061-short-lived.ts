import type { Queries } from '../pool.ts';

/** What lives for minutes: log-ins under way, login tokens and the like. Its key is a hash, its value is encrypted. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE short_lived (
      kind text NOT NULL,
      key bytea NOT NULL,
      value bytea NOT NULL,
      expires_at bigint NOT NULL,
      PRIMARY KEY (kind, key)
    )`);
  // A session about which the provider does not answer is asked about later: it does not hold up the others.
  await db.query('ALTER TABLE upstream_sessions ADD COLUMN retry_at bigint NOT NULL DEFAULT 0');
}
