import type { Queries } from '../pool.ts';

/** Guest links, and the places that local participants hold in conferences (MSC4140-style delayed leave). */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE guest_links (
      link_id text PRIMARY KEY,
      token_hash text NOT NULL UNIQUE,
      room_id text NOT NULL,
      created_by text NOT NULL,
      created_at bigint NOT NULL,
      expires_at bigint,
      revoked_at bigint
    )`);
  await db.query('CREATE INDEX guest_links_room ON guest_links (room_id)');
  await db.query(`
    CREATE TABLE conference_places (
      room_id text NOT NULL,
      user_id text NOT NULL,
      device_id text NOT NULL,
      joined_at bigint NOT NULL,
      PRIMARY KEY (room_id, user_id, device_id)
    )`);
}
