import type { Queries } from '../pool.ts';

/** What the OAuth 2.0 API remembers: clients, codes, grants and tokens, and the key of its identity tokens. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  // Values of codes and tokens only as SHA-256. Tokens belong to a device and go with it.
  await db.query(`
    CREATE TABLE oauth_items (
      model text NOT NULL,
      id bytea NOT NULL,
      uid text,
      user_code text,
      grant_id text,
      payload text NOT NULL,
      localpart text,
      device_id text,
      expires_at bigint,
      consumed_at bigint,
      PRIMARY KEY (model, id),
      FOREIGN KEY (localpart, device_id) REFERENCES devices ON DELETE CASCADE
    )`);
  await db.query('CREATE INDEX oauth_items_uid ON oauth_items (uid) WHERE uid IS NOT NULL');
  await db.query('CREATE INDEX oauth_items_user_code ON oauth_items (user_code) WHERE user_code IS NOT NULL');
  await db.query('CREATE INDEX oauth_items_grant ON oauth_items (grant_id) WHERE grant_id IS NOT NULL');
  await db.query('CREATE INDEX oauth_items_device ON oauth_items (localpart, device_id) WHERE localpart IS NOT NULL');
  await db.query('CREATE INDEX oauth_items_expiry ON oauth_items (expires_at) WHERE expires_at IS NOT NULL');
  await db.query('CREATE TABLE oauth_keys (created_at bigint NOT NULL, jwk text NOT NULL)');
}
