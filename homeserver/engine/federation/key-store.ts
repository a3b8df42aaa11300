/** Stores the keys of other servers for the key ring. */
import type { KeyStore, StoredKeys } from '../../../federation/keyring.ts';
import { parseStrict } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';

/** The key ring's store in the database. */
export function sqlKeyStore(db: Database): KeyStore {
  return {
    async get(server) {
      const [row] = await db.query<{ json: string }>('SELECT json FROM server_keys WHERE server = $1', [server]);
      // Written by `put` below and nowhere else.
      return row && (parseStrict(row.json) as unknown as StoredKeys);
    },
    async put(server, keys) {
      await db.query(
        'INSERT INTO server_keys (server, json) VALUES ($1, $2) ON CONFLICT (server) DO UPDATE SET json = excluded.json',
        [server, JSON.stringify(keys)],
      );
    },
  };
}
