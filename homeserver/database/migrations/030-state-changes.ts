import type { Queries } from '../pool.ts';

/** How the current state of each room moved: what a `/sync` has to tell of state, whatever changed it. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE state_changes (
      position bigint NOT NULL,
      room_id text NOT NULL,
      type text NOT NULL,
      state_key text NOT NULL,
      event_id text,
      previous text
    )`);
  await db.query('CREATE INDEX state_changes_room ON state_changes (room_id, position)');
  await db.query('CREATE INDEX state_changes_event ON state_changes (event_id)');
  await db.query(
    `CREATE INDEX state_changes_member ON state_changes (state_key, position) WHERE type = 'm.room.member'`,
  );
}
