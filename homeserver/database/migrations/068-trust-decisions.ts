import type { Queries } from '../pool.ts';

/** What was decided of other servers by their certificates. The highest statement of each is never forgotten. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE trust_decisions (
      server text PRIMARY KEY,
      trusted boolean NOT NULL,
      reason text,
      text text,
      number bigint,
      digest text,
      organisation text,
      not_after bigint,
      since bigint NOT NULL,
      judged_at bigint NOT NULL,
      until bigint NOT NULL,
      statement text,
      keys jsonb,
      anchors text NOT NULL
    )`);
  await db.query('CREATE INDEX trust_decisions_strangers ON trust_decisions (judged_at) WHERE number IS NULL');
}
