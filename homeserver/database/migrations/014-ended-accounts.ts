import type { Queries } from '../pool.ts';

/** Whether somebody whose account has ended is out of all rooms; what a stop has interrupted goes on at the next start. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('ALTER TABLE users ADD COLUMN out_of_rooms boolean NOT NULL DEFAULT false');
}
