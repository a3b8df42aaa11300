/** Health of what the homeserver depends on. */
import type { Database } from '../database/database.ts';

const PATIENCE_MS = 2_000;

/** Whether the database responds in time. */
export async function isAnswering(db: Database): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => setTimeout(resolve, PATIENCE_MS, false).unref());
  const asked = db.query('SELECT 1').then(
    () => true,
    () => false,
  );
  return Promise.race([asked, late]);
}
