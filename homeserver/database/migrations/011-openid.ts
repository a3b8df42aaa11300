import type { Queries } from '../pool.ts';

/** Tokens by which other services learn who somebody is, only as SHA-256. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE openid_tokens (
      hash bytea PRIMARY KEY,
      localpart text NOT NULL REFERENCES users,
      expires_at bigint NOT NULL
    )`);
  await db.query('CREATE INDEX openid_tokens_expiry ON openid_tokens (expires_at)');
}
