import type { Queries } from '../pool.ts';

/** Rooms: events as signed text, state before and after each, and what is derived from the current state. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE rooms (
      room_id text PRIMARY KEY,
      version text NOT NULL,
      create_event text NOT NULL,
      extremities text[] NOT NULL,
      state_group bigint NOT NULL,
      created_at bigint NOT NULL
    )`);
  // Accepted history has positions from 1 upwards in the order of storing, backfilled history from -1 downwards.
  // Outliers (events that we know only because others cite them) have no position.
  await db.query(`
    CREATE TABLE events (
      event_id text PRIMARY KEY,
      room_id text NOT NULL,
      position bigint UNIQUE,
      type text NOT NULL,
      state_key text,
      sender text NOT NULL,
      depth bigint NOT NULL,
      origin_server_ts bigint NOT NULL,
      json text NOT NULL,
      rejected boolean NOT NULL,
      soft_failed boolean NOT NULL,
      outlier boolean NOT NULL,
      redacted_by text,
      state_before bigint,
      state_after bigint
    )`);
  await db.query('CREATE INDEX events_room_position ON events (room_id, position)');
  // The state of a group: its own entries, then those of the groups before it.
  await db.query(`
    CREATE TABLE state_groups (
      group_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      room_id text NOT NULL,
      previous bigint,
      chain integer NOT NULL
    )`);
  await db.query(`
    CREATE TABLE state_entries (
      group_id bigint NOT NULL,
      type text NOT NULL,
      state_key text NOT NULL,
      event_id text NOT NULL,
      PRIMARY KEY (group_id, type, state_key)
    )`);
  await db.query(`
    CREATE TABLE room_members (
      room_id text NOT NULL,
      user_id text NOT NULL,
      server text NOT NULL,
      membership text NOT NULL,
      position bigint NOT NULL,
      since bigint NOT NULL,
      PRIMARY KEY (room_id, user_id)
    )`);
  await db.query('CREATE INDEX room_members_user ON room_members (user_id, membership)');
  await db.query(`CREATE INDEX room_members_joined ON room_members (room_id, server) WHERE membership = 'join'`);
  // Invitations to rooms that this server is not in.
  await db.query(`
    CREATE TABLE invitations (
      room_id text NOT NULL,
      user_id text NOT NULL,
      sender text NOT NULL,
      version text NOT NULL,
      event_json text NOT NULL,
      state_json text NOT NULL,
      position bigint NOT NULL,
      since bigint NOT NULL,
      PRIMARY KEY (room_id, user_id)
    )`);
  await db.query('CREATE INDEX invitations_user ON invitations (user_id)');
  await db.query(`
    CREATE TABLE client_transactions (
      user_id text NOT NULL,
      device_id text NOT NULL,
      transaction_id text NOT NULL,
      event_id text NOT NULL,
      created_at bigint NOT NULL,
      PRIMARY KEY (user_id, device_id, transaction_id)
    )`);
  await db.query('CREATE INDEX client_transactions_event ON client_transactions (event_id)');
  await db.query('CREATE TABLE forgotten_rooms (user_id text, room_id text, PRIMARY KEY (user_id, room_id))');
}
