import type { Queries } from '../pool.ts';

/** Devices that people leave behind to get messages while they are logged in nowhere; clients encrypt what they are. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE dehydrated_devices (
      user_id text PRIMARY KEY,
      device_id text NOT NULL,
      data text NOT NULL
    )`);
}
