import type { Queries } from '../pool.ts';

/**
 * To which tenant somebody belongs, and a tariff of their own, as the identity provider has said last. Who has put a room
 * on the list of public rooms: those of that person's tenant see it there.
 */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('ALTER TABLE users ADD COLUMN tenant text, ADD COLUMN tariff text');
  await db.query('ALTER TABLE public_rooms ADD COLUMN listed_by text');
}
