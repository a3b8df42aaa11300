import type { Queries } from '../pool.ts';

/** Changed lists of devices are looked for by user too: who was away for long shares rooms with few of all users. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('CREATE INDEX device_list_changes_user ON device_list_changes (user_id, position)');
}
