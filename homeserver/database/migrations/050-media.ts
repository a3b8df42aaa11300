import type { Queries } from '../pool.ts';

/** Files that people have sent, files of other servers that are kept for a while, and small pictures of them. */
export async function up({ context: db }: { context: Queries }): Promise<void> {
  // One file of the data folder, named by its SHA-256 in hexadecimal.
  await db.query(`
    CREATE TABLE blobs (
      sha256 text PRIMARY KEY,
      size bigint NOT NULL
    )`);
  // What mxc://<origin>/<media_id> leads to. Without a blob it is promised and not there yet.
  await db.query(`
    CREATE TABLE media (
      origin text NOT NULL,
      media_id text NOT NULL,
      sha256 text REFERENCES blobs,
      content_type text NOT NULL,
      file_name text,
      uploader text,
      created_at bigint NOT NULL,
      expires_at bigint,
      cached boolean NOT NULL DEFAULT false,
      blocked boolean NOT NULL DEFAULT false,
      used_at bigint NOT NULL,
      PRIMARY KEY (origin, media_id)
    )`);
  await db.query('CREATE INDEX media_of_blob ON media (sha256)');
  await db.query('CREATE INDEX media_of_uploader ON media (uploader, created_at)');
  await db.query('CREATE INDEX media_cached ON media (used_at) WHERE cached');
  await db.query('CREATE INDEX media_promised ON media (expires_at) WHERE sha256 IS NULL');
  await db.query(`
    CREATE TABLE thumbnails (
      source text NOT NULL REFERENCES blobs ON DELETE CASCADE,
      width integer NOT NULL,
      height integer NOT NULL,
      method text NOT NULL,
      animated boolean NOT NULL,
      sha256 text NOT NULL REFERENCES blobs,
      content_type text NOT NULL,
      PRIMARY KEY (source, width, height, method, animated)
    )`);
  await db.query('CREATE INDEX thumbnails_of_blob ON thumbnails (sha256)');
}
