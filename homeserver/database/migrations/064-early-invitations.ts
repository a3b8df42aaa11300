import type { Queries } from '../pool.ts';

/** Invites of local users that came before the end of the membership that they follow. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('CREATE TABLE early_invitations (LIKE invitations INCLUDING DEFAULTS INCLUDING INDEXES)');
}
