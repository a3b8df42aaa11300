import type { Queries } from '../pool.ts';

/** The stream positions that were given out: all up to the ceiling may have been. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query('CREATE TABLE stream_ceiling (ceiling bigint NOT NULL)');
  await db.query(`
    INSERT INTO stream_ceiling (ceiling)
    SELECT greatest((SELECT coalesce(max(position), 0) FROM events),
                    (SELECT coalesce(max(position), 0) FROM invitations), 0)`);
}
