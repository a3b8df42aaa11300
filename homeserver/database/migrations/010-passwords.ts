import type { Queries } from '../pool.ts';

/** Accounts with passwords, administrators, ended accounts, profiles beyond a name, and where devices were last seen. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  // Without a name the profile has none; a name that was taken away is not the same as one that was never given.
  await db.query('ALTER TABLE users ALTER COLUMN display_name DROP NOT NULL');
  await db.query(`
    ALTER TABLE users
      ADD COLUMN password text,
      ADD COLUMN admin boolean NOT NULL DEFAULT false,
      ADD COLUMN deactivated_at bigint`);
  await db.query(`
    ALTER TABLE devices
      ADD COLUMN last_seen_ip text,
      ADD COLUMN user_agent text`);
  // Fields of profiles except the name, each as JSON text.
  await db.query(`
    CREATE TABLE profile_fields (
      localpart text NOT NULL REFERENCES users,
      field text NOT NULL,
      json text NOT NULL,
      PRIMARY KEY (localpart, field)
    )`);
}
