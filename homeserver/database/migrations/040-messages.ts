import type { Queries } from '../pool.ts';

/** What is found out about events when they are stored, and what rooms are called and how they are found. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  // Which event refers to which other one. Whether it counts is decided by the event's own flags.
  await db.query(`
    CREATE TABLE event_relations (
      event_id text PRIMARY KEY,
      room_id text NOT NULL,
      parent_id text NOT NULL,
      rel_type text NOT NULL,
      type text NOT NULL,
      sender text NOT NULL
    )`);
  await db.query('CREATE INDEX event_relations_parent ON event_relations (parent_id, rel_type)');
  await db.query('CREATE INDEX event_relations_room ON event_relations (room_id, rel_type)');
  // Words of messages, names and topics.
  await db.query(`
    CREATE TABLE event_words (
      event_id text PRIMARY KEY,
      room_id text NOT NULL,
      key text NOT NULL,
      words tsvector NOT NULL
    )`);
  await db.query('CREATE INDEX event_words_words ON event_words USING gin (words)');
  await db.query('CREATE INDEX event_words_room ON event_words (room_id)');
  await db.query('CREATE INDEX events_room_time ON events (room_id, origin_server_ts) WHERE NOT outlier');

  await db.query(`
    CREATE TABLE room_aliases (
      alias text PRIMARY KEY,
      room_id text NOT NULL,
      creator text NOT NULL,
      created_at bigint NOT NULL
    )`);
  await db.query('CREATE INDEX room_aliases_room ON room_aliases (room_id)');
  // Rooms that anybody may find.
  await db.query('CREATE TABLE public_rooms (room_id text PRIMARY KEY, listed_at bigint NOT NULL)');
}
