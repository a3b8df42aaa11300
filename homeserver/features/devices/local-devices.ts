/** The devices of local users. */
import type { Database, Tx } from '../../database/database.ts';

export class LocalDevices {
  readonly #db: Database;
  readonly #serverName: string;

  constructor(db: Database, serverName: string) {
    this.#db = db;
    this.#serverName = serverName;
  }

  /** Devices of local users by user and id, with their display names. */
  async of(userIds: readonly string[], tx?: Tx): Promise<Map<string, Map<string, string | undefined>>> {
    const suffix = `:${this.#serverName}`;
    const localparts = userIds.filter((id) => id.endsWith(suffix)).map((id) => id.slice(1, -suffix.length));
    const found = new Map<string, Map<string, string | undefined>>();
    if (localparts.length === 0) return found;
    const rows = await this.#db.query<{ localpart: string; device_id: string; display_name: string | null }>(
      'SELECT localpart, device_id, display_name FROM devices WHERE localpart = ANY($1)',
      [localparts],
      tx,
    );
    for (const row of rows) {
      const userId = `@${row.localpart}${suffix}`;
      const devices = found.get(userId) ?? new Map<string, string | undefined>();
      devices.set(row.device_id, row.display_name ?? undefined);
      found.set(userId, devices);
    }
    return found;
  }

  /** Deleted devices of local users that still have data. */
  async orphans(): Promise<{ userId: string; deviceId: string }[]> {
    const rows = await this.#db.query<{ user_id: string; device_id: string }>(
      `SELECT user_id, device_id FROM (
         SELECT user_id, device_id FROM device_keys UNION SELECT user_id, device_id FROM one_time_keys
         UNION SELECT user_id, device_id FROM fallback_keys UNION SELECT user_id, device_id FROM to_device) AS used
       WHERE NOT EXISTS (
         SELECT 1 FROM devices d WHERE '@' || d.localpart || ':' || $1 = used.user_id AND d.device_id = used.device_id)`,
      [this.#serverName],
    );
    return rows.map((row) => ({ userId: row.user_id, deviceId: row.device_id }));
  }
}
