/** What is known of media, in the database. Files live and go with what refers to them. */
import type { Database, Tx } from '../../database/database.ts';
import type { Blobs, Received } from './blobs.ts';

/** A file as somebody sent it. */
export interface MediaInfo {
  readonly contentType: string;
  readonly fileName: string | undefined;
}

/** A file that can be served. */
export interface StoredMedia extends MediaInfo {
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
}

/** What is known of an address `mxc://origin/mediaId`. */
export interface MediaRow extends MediaInfo {
  /** Undefined while the file is promised and not there. */
  readonly sha256: string | undefined;
  readonly size: number;
  readonly uploader: string | undefined;
  /** When a promise runs out, in ms since 1970. */
  readonly expiresAt: number | undefined;
  /** Nobody is served this any more. */
  readonly blocked: boolean;
}

export interface NewMedia extends MediaInfo {
  readonly origin: string;
  readonly mediaId: string;
  readonly uploader?: string;
  /** May be removed when space is short: it can be had again. */
  readonly cached: boolean;
}

/** How a small picture was made. */
export interface ThumbnailKey {
  readonly width: number;
  readonly height: number;
  readonly method: 'crop' | 'scale';
  readonly animated: boolean;
}

/** How exactly the last use is known, in ms: not every download writes to the database. */
const USE_STEP_MS = 60 * 60_000;
const SWEEP = 500;

export class MediaStore {
  readonly #db: Database;
  readonly #blobs: Blobs;

  constructor(db: Database, blobs: Blobs) {
    this.#db = db;
    this.#blobs = blobs;
  }

  async find(origin: string, mediaId: string): Promise<MediaRow | undefined> {
    const [row] = await this.#db.query<{
      sha256: string | null;
      size: number | null;
      content_type: string;
      file_name: string | null;
      uploader: string | null;
      expires_at: number | null;
      blocked: boolean;
      used_at: number;
    }>(
      `SELECT m.sha256, b.size, m.content_type, m.file_name, m.uploader, m.expires_at, m.blocked, m.used_at
       FROM media m LEFT JOIN blobs b ON b.sha256 = m.sha256 WHERE m.origin = $1 AND m.media_id = $2`,
      [origin, mediaId],
    );
    if (row === undefined) return undefined;
    const now = Date.now();
    if (now - row.used_at > USE_STEP_MS) {
      await this.#db.query('UPDATE media SET used_at = $3 WHERE origin = $1 AND media_id = $2', [origin, mediaId, now]);
    }
    return {
      sha256: row.sha256 ?? undefined,
      size: row.size ?? 0,
      contentType: row.content_type,
      fileName: row.file_name ?? undefined,
      uploader: row.uploader ?? undefined,
      expiresAt: row.expires_at ?? undefined,
      blocked: row.blocked,
    };
  }

  /**
   * Keeps a received file under a new address. Of two that come at once for one address the first stays.
   *
   * @param check runs in the same transaction, and prevents all of it when it throws
   */
  async add(media: NewMedia, file: Received, check?: (tx: Tx) => Promise<void>): Promise<void> {
    const now = Date.now();
    await this.#db.transaction(async (tx) => {
      await check?.(tx);
      await this.#keep(file, tx);
      await this.#db.query(
        `INSERT INTO media (origin, media_id, sha256, content_type, file_name, uploader, created_at, cached, used_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7) ON CONFLICT DO NOTHING`,
        [
          media.origin,
          media.mediaId,
          file.sha256,
          media.contentType,
          media.fileName ?? null,
          media.uploader ?? null,
          now,
          media.cached,
        ],
        tx,
      );
    });
  }

  /** Promises a file that is sent later. */
  async promise(origin: string, mediaId: string, uploader: string, expiresAt: number): Promise<void> {
    await this.#db.query(
      `INSERT INTO media (origin, media_id, content_type, uploader, created_at, expires_at, used_at)
       VALUES ($1, $2, 'application/octet-stream', $3, $4, $5, $4)`,
      [origin, mediaId, uploader, Date.now(), expiresAt],
    );
  }

  /** How many files somebody has promised and can still send. */
  async promises(uploader: string): Promise<number> {
    const [row] = await this.#db.query<{ count: number }>(
      'SELECT count(*) AS count FROM media WHERE uploader = $1 AND sha256 IS NULL AND expires_at > $2',
      [uploader, Date.now()],
    );
    return row?.count ?? 0;
  }

  /** Keeps a file that was promised. Answers false when there is one already. */
  async fulfil(
    origin: string,
    mediaId: string,
    info: MediaInfo,
    file: Received,
    check: (tx: Tx) => Promise<void>,
  ): Promise<boolean> {
    return this.#db.transaction(async (tx) => {
      await check(tx);
      const rows = await this.#db.query<{ sha256: string | null }>(
        'SELECT sha256 FROM media WHERE origin = $1 AND media_id = $2 FOR UPDATE',
        [origin, mediaId],
        tx,
      );
      if (rows.length === 0 || rows[0]?.sha256 != null) return false;
      await this.#keep(file, tx);
      await this.#db.query(
        `UPDATE media SET sha256 = $3, content_type = $4, file_name = $5, expires_at = NULL, used_at = $6
         WHERE origin = $1 AND media_id = $2`,
        [origin, mediaId, file.sha256, info.contentType, info.fileName ?? null, Date.now()],
        tx,
      );
      return true;
    });
  }

  /** Bytes that somebody has sent. Further files of the same person wait until the transaction ends. */
  async usage(uploader: string, tx: Tx): Promise<number> {
    await this.#db.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`media ${uploader}`], tx);
    const [row] = await this.#db.query<{ bytes: string | null }>(
      'SELECT sum(b.size) AS bytes FROM media m JOIN blobs b ON b.sha256 = m.sha256 WHERE m.uploader = $1',
      [uploader],
      tx,
    );
    return Number(row?.bytes ?? 0);
  }

  async thumbnail(source: string, key: ThumbnailKey): Promise<StoredMedia | undefined> {
    const [row] = await this.#db.query<{ sha256: string; size: number; content_type: string }>(
      `SELECT t.sha256, b.size, t.content_type FROM thumbnails t JOIN blobs b ON b.sha256 = t.sha256
       WHERE t.source = $1 AND t.width = $2 AND t.height = $3 AND t.method = $4 AND t.animated = $5`,
      [source, key.width, key.height, key.method, key.animated],
    );
    return row && { sha256: row.sha256, size: row.size, contentType: row.content_type, fileName: undefined };
  }

  /** @throws the database's error when the source was removed meanwhile */
  async addThumbnail(source: string, key: ThumbnailKey, contentType: string, file: Received): Promise<void> {
    await this.#db.transaction(async (tx) => {
      await this.#keep(file, tx);
      await this.#db.query(
        `INSERT INTO thumbnails (source, width, height, method, animated, sha256, content_type)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
        [source, key.width, key.height, key.method, key.animated, file.sha256, contentType],
        tx,
      );
    });
  }

  /** Removes an address; its file goes with the next `sweep`. Answers whether there was one. */
  async remove(origin: string, mediaId: string): Promise<boolean> {
    const rows = await this.#db.query('DELETE FROM media WHERE origin = $1 AND media_id = $2 RETURNING 1', [
      origin,
      mediaId,
    ]);
    return rows.length > 0;
  }

  /** Serves an address to nobody any more, or to everybody again. Answers whether there was one. */
  async block(origin: string, mediaId: string, blocked: boolean): Promise<boolean> {
    const rows = await this.#db.query('UPDATE media SET blocked = $3 WHERE origin = $1 AND media_id = $2 RETURNING 1', [
      origin,
      mediaId,
      blocked,
    ]);
    return rows.length > 0;
  }

  /** Removes promises that were not kept in time. */
  async removeExpired(): Promise<void> {
    await this.#db.query('DELETE FROM media WHERE sha256 IS NULL AND expires_at < $1', [Date.now()]);
  }

  /**
   * Removes of what can be had again: all that nobody used since `unusedSince` (ms since 1970), and then what was used
   * longest ago, until the rest has at most `maxBytes`.
   */
  async evict(maxBytes: number, unusedSince: number): Promise<void> {
    await this.#db.query('DELETE FROM media WHERE cached AND NOT blocked AND used_at < $1', [unusedSince]);
    await this.#db.query(
      `DELETE FROM media WHERE (origin, media_id) IN (
         SELECT origin, media_id FROM (
           SELECT m.origin, m.media_id, m.blocked,
             sum(b.size) OVER (ORDER BY m.used_at DESC, m.origin, m.media_id) AS bytes
           FROM media m JOIN blobs b ON b.sha256 = m.sha256 WHERE m.cached
         ) newest WHERE bytes > $1 AND NOT blocked)`,
      [maxBytes],
    );
  }

  /** Removes files that nothing refers to, with their small pictures. Answers how many. */
  async sweep(): Promise<number> {
    let removed = 0;
    for (;;) {
      const found = await this.#db.query<{ sha256: string }>(
        `SELECT sha256 FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM media m WHERE m.sha256 = b.sha256)
         AND NOT EXISTS (SELECT 1 FROM thumbnails t WHERE t.sha256 = b.sha256) LIMIT ${String(SWEEP)}`,
      );
      let here = 0;
      for (const { sha256 } of found) if (await this.#removeBlob(sha256)) here += 1;
      removed += here;
      // Removing a picture frees its thumbnails, which the next round finds.
      if (here === 0) return removed;
    }
  }

  /**
   * Whoever brings the same file anew waits at the row until it is gone from both, or we wait for them and find the
   * file in use.
   */
  async #removeBlob(sha256: string): Promise<boolean> {
    return this.#db.transaction(async (tx) => {
      await this.#db.query('SELECT 1 FROM blobs WHERE sha256 = $1 FOR UPDATE', [sha256], tx);
      const gone = await this.#db.query(
        `DELETE FROM blobs b WHERE sha256 = $1 AND NOT EXISTS (SELECT 1 FROM media m WHERE m.sha256 = b.sha256)
         AND NOT EXISTS (SELECT 1 FROM thumbnails t WHERE t.sha256 = b.sha256) RETURNING 1`,
        [sha256],
        tx,
      );
      if (gone.length > 0) await this.#blobs.remove(sha256);
      return gone.length > 0;
    });
  }

  async #keep(file: Received, tx: Tx): Promise<void> {
    // The update is there for its lock.
    await this.#db.query(
      'INSERT INTO blobs (sha256, size) VALUES ($1, $2) ON CONFLICT (sha256) DO UPDATE SET size = EXCLUDED.size',
      [file.sha256, file.size],
      tx,
    );
    await this.#blobs.keep(file);
  }
}
