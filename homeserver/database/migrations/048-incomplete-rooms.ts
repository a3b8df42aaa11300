import type { Queries } from '../pool.ts';

/**
 * Rooms that were entered before their whole state was known. A row stays when the state has become known, so that
 * clients who were told nothing of the room until then are told of it.
 */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE incomplete_rooms (
      room_id text PRIMARY KEY,
      join_event text NOT NULL,
      position bigint NOT NULL,
      members_omitted boolean NOT NULL,
      servers text[] NOT NULL,
      open boolean NOT NULL,
      completed bigint
    )`);
  await db.query('CREATE INDEX incomplete_rooms_completed ON incomplete_rooms (completed)');
}
