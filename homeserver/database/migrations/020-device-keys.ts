import type { Queries } from '../pool.ts';

/** Keys of the devices of our users, and what changed in the lists of devices of anybody. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE device_keys (
      user_id text NOT NULL,
      device_id text NOT NULL,
      json text NOT NULL,
      PRIMARY KEY (user_id, device_id)
    )`);
  // Given out in the order of their arrival.
  await db.query(`
    CREATE TABLE one_time_keys (
      user_id text NOT NULL,
      device_id text NOT NULL,
      algorithm text NOT NULL,
      key_id text NOT NULL,
      json text NOT NULL,
      position bigint GENERATED ALWAYS AS IDENTITY,
      PRIMARY KEY (user_id, device_id, algorithm, key_id)
    )`);
  await db.query('CREATE INDEX one_time_keys_order ON one_time_keys (user_id, device_id, algorithm, position)');
  await db.query(`
    CREATE TABLE fallback_keys (
      user_id text NOT NULL,
      device_id text NOT NULL,
      algorithm text NOT NULL,
      key_id text NOT NULL,
      json text NOT NULL,
      used boolean NOT NULL,
      PRIMARY KEY (user_id, device_id, algorithm)
    )`);
  // Of users of any server; those of others are known while we share a room with them.
  await db.query(`
    CREATE TABLE cross_signing_keys (
      user_id text NOT NULL,
      usage text NOT NULL,
      json text NOT NULL,
      PRIMARY KEY (user_id, usage)
    )`);
  // Signatures that our users put on keys later; the target is a device or the public half of a master key.
  await db.query(`
    CREATE TABLE key_signatures (
      target_user text NOT NULL,
      target_key text NOT NULL,
      signer text NOT NULL,
      signer_key text NOT NULL,
      signature text NOT NULL,
      PRIMARY KEY (target_user, target_key, signer, signer_key)
    )`);
  // A change that only one user is told of has an audience.
  await db.query(`
    CREATE TABLE device_list_changes (
      position bigint NOT NULL,
      user_id text NOT NULL,
      audience text,
      PRIMARY KEY (position, user_id)
    )`);
  // The last message about a local user that went to other servers.
  await db.query('CREATE TABLE device_list_streams (user_id text PRIMARY KEY, stream_id bigint NOT NULL)');
  // What we know of the devices of users elsewhere. Since when, as a position, tells whether a room was shared ever since.
  await db.query(`
    CREATE TABLE remote_device_lists (
      user_id text PRIMARY KEY,
      stream_id bigint NOT NULL,
      fetched_at bigint NOT NULL,
      stale boolean NOT NULL,
      attempts integer NOT NULL,
      retry_at bigint NOT NULL
    )`);
  await db.query('CREATE INDEX remote_device_lists_stale ON remote_device_lists (retry_at) WHERE stale');
  await db.query(`
    CREATE TABLE remote_devices (
      user_id text NOT NULL REFERENCES remote_device_lists ON DELETE CASCADE,
      device_id text NOT NULL,
      json text NOT NULL,
      display_name text,
      PRIMARY KEY (user_id, device_id)
    )`);
}
