import type { Queries } from '../pool.ts';

/** Knocks at rooms of other servers beside the invitations to them; transaction ids count for one endpoint. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`ALTER TABLE invitations ADD COLUMN membership text NOT NULL DEFAULT 'invite'`);
  await db.query(`ALTER TABLE client_transactions ADD COLUMN scope text NOT NULL DEFAULT ''`);
  await db.query('ALTER TABLE client_transactions DROP CONSTRAINT client_transactions_pkey');
  await db.query('ALTER TABLE client_transactions ADD PRIMARY KEY (user_id, device_id, transaction_id, scope)');
}
