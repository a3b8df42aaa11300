/** The media records in the database. A file is deleted when no record references it. */
import type { Database, Tx } from '../../database/database.ts';
import type { Blobs, Received } from './blobs.ts';

/** Content type and name of an upload. */
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

/** The record of `mxc://origin/mediaId`. */
export interface MediaRow extends MediaInfo {
  /** Undefined while the upload is pending. */
  readonly sha256: string | undefined;
  readonly size: number;
  readonly uploader: string | undefined;
  /** When a pending upload expires, Unix time in ms. */
  readonly expiresAt: number | undefined;
  /** Quarantined: not served any more. */
  readonly blocked: boolean;
}

export interface NewMedia extends MediaInfo {
  readonly origin: string;
  readonly mediaId: string;
  readonly uploader?: string;
  /** May be evicted: it can be fetched again. */
  readonly cached: boolean;
}

/** The parameters of a thumbnail. */
export interface ThumbnailKey {
  readonly width: number;
  readonly height: number;
  readonly method: 'crop' | 'scale';
  readonly animated: boolean;
}

/** Precision of the last access time, in ms: not every download writes to the database. */
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
   * Stores a received file under a new media id. Of two concurrent ones for one id, the first wins.
   *
   * @param check runs in the same transaction, and rolls it back by throwing
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

  /** Reserves a media id for a later upload. */
  async promise(origin: string, mediaId: string, uploader: string, expiresAt: number): Promise<void> {
    await this.#db.query(
      `INSERT INTO media (origin, media_id, content_type, uploader, created_at, expires_at, used_at)
       VALUES ($1, $2, 'application/octet-stream', $3, $4, $5, $4)`,
      [origin, mediaId, uploader, Date.now(), expiresAt],
    );
  }

  /** The number of pending uploads of a user. */
  async promises(uploader: string): Promise<number> {
    const [row] = await this.#db.query<{ count: number }>(
      'SELECT count(*) AS count FROM media WHERE uploader = $1 AND sha256 IS NULL AND expires_at > $2',
      [uploader, Date.now()],
    );
    return row?.count ?? 0;
  }

  /** Completes a pending upload. @returns false when it was already completed */
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

  /** The bytes stored for a user. Other uploads of the user wait until the transaction ends. */
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

  /**
   * @throws the database's error when the source was deleted meanwhile
   *
   * @throws the database's error when the source was removed meanwhile
   */
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

  /** Deletes a record; its file is deleted by the next `sweep`. @returns whether it existed */
  async remove(origin: string, mediaId: string): Promise<boolean> {
    const rows = await this.#db.query('DELETE FROM media WHERE origin = $1 AND media_id = $2 RETURNING 1', [
      origin,
      mediaId,
    ]);
    return rows.length > 0;
  }

  /** Quarantines media, or lifts it. @returns whether it existed */
  async block(origin: string, mediaId: string, blocked: boolean): Promise<boolean> {
    const rows = await this.#db.query('UPDATE media SET blocked = $3 WHERE origin = $1 AND media_id = $2 RETURNING 1', [
      origin,
      mediaId,
      blocked,
    ]);
    return rows.length > 0;
  }

  /** Deletes expired pending uploads. */
  async removeExpired(): Promise<void> {
    await this.#db.query('DELETE FROM media WHERE sha256 IS NULL AND expires_at < $1', [Date.now()]);
  }

  /**
   * Evicts cached media: all that are unused since `unusedSince` (Unix time in ms), and then the least recently used,
   * until the rest has at most `maxBytes`.
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

  /** Deletes unreferenced files, with their thumbnails. @returns how many */
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
      // Deleting an image frees its thumbnails, which the next round finds.
      if (here === 0) return removed;
    }
  }

  /**
   * A concurrent upload of the same file waits at the row until it is deleted in both places, or this waits and finds
   * the file in use.
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
    // The update only takes the lock.
    await this.#db.query(
      'INSERT INTO blobs (sha256, size) VALUES ($1, $2) ON CONFLICT (sha256) DO UPDATE SET size = EXCLUDED.size',
      [file.sha256, file.size],
      tx,
    );
    await this.#blobs.keep(file);
  }
}
