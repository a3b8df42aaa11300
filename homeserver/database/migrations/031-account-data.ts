import type { Queries } from '../pool.ts';

/** What clients keep for a user, for a room (or '' for none) and a type. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE account_data (
      user_id text NOT NULL,
      room_id text NOT NULL,
      type text NOT NULL,
      json text NOT NULL,
      deleted boolean NOT NULL,
      position bigint NOT NULL,
      PRIMARY KEY (user_id, room_id, type)
    )`);
  await db.query('CREATE INDEX account_data_position ON account_data (user_id, position)');
}
