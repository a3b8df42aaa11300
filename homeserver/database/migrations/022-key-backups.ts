import type { Queries } from '../pool.ts';

/** Backups of room keys, encrypted by the clients. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  // Deleted versions stay, so that no number is given out again.
  await db.query(`
    CREATE TABLE key_backups (
      user_id text NOT NULL,
      version bigint NOT NULL,
      algorithm text NOT NULL,
      auth_data text NOT NULL,
      etag bigint NOT NULL,
      deleted boolean NOT NULL,
      PRIMARY KEY (user_id, version)
    )`);
  await db.query(`
    CREATE TABLE backed_up_keys (
      user_id text NOT NULL,
      version bigint NOT NULL,
      room_id text NOT NULL,
      session_id text NOT NULL,
      first_message_index bigint NOT NULL,
      forwarded_count bigint NOT NULL,
      is_verified boolean NOT NULL,
      session_data text NOT NULL,
      PRIMARY KEY (user_id, version, room_id, session_id)
    )`);
}
