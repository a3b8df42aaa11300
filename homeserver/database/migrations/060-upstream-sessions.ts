import type { Queries } from '../pool.ts';

/**
 * By which session at the identity provider a device was logged in. A row outlives its device until that session is
 * ended as well; the tokens in it are encrypted.
 */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE upstream_sessions (
      localpart text NOT NULL REFERENCES users,
      device_id text NOT NULL,
      issuer text NOT NULL,
      subject text NOT NULL,
      sid text,
      sealed_tokens bytea NOT NULL,
      checkable boolean NOT NULL,
      checked_at bigint NOT NULL,
      PRIMARY KEY (localpart, device_id)
    )`);
  await db.query('CREATE INDEX upstream_sessions_sid ON upstream_sessions (issuer, sid)');
  await db.query('CREATE INDEX upstream_sessions_subject ON upstream_sessions (issuer, subject)');
  await db.query('CREATE INDEX upstream_sessions_due ON upstream_sessions (checked_at) WHERE checkable');
  // The name that the identity provider has said last: one that somebody has chosen here stays until that one changes.
  await db.query('ALTER TABLE users ADD COLUMN upstream_name text');
}
