import type { Queries } from '../pool.ts';

/** Accounts: people as the identity provider knows them, guests, their devices and the hashes of their tokens. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  await db.query(`
    CREATE TABLE users (
      localpart text PRIMARY KEY,
      issuer text,
      subject text,
      display_name text NOT NULL,
      guest boolean NOT NULL,
      created_at bigint NOT NULL,
      UNIQUE (issuer, subject)
    )`);
  await db.query(`
    CREATE TABLE devices (
      localpart text NOT NULL REFERENCES users,
      device_id text NOT NULL,
      display_name text,
      created_at bigint NOT NULL,
      last_seen_at bigint NOT NULL,
      PRIMARY KEY (localpart, device_id)
    )`);
  // Pairs of tokens, only as SHA-256. A pair that was refreshed stays until its successor is used: the answer with
  // the successor may have been lost. A pair without expiry has no refresh token.
  await db.query(`
    CREATE TABLE tokens (
      access_hash bytea PRIMARY KEY,
      refresh_hash bytea UNIQUE,
      localpart text NOT NULL,
      device_id text NOT NULL,
      expires_at bigint,
      previous bytea,
      used boolean NOT NULL,
      created_at bigint NOT NULL,
      FOREIGN KEY (localpart, device_id) REFERENCES devices ON DELETE CASCADE
    )`);
  await db.query('CREATE INDEX tokens_device ON tokens (localpart, device_id)');
  await db.query(`
    CREATE TABLE filters (
      filter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      localpart text NOT NULL REFERENCES users,
      json text NOT NULL,
      UNIQUE (localpart, json)
    )`);
}
