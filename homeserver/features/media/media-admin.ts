/** Media administration. */
import type { Database } from '../../database/database.ts';
import type { MediaStore } from './media-store.ts';

/** A file as administrators see it; times in Unix ms, sizes in bytes. */
export interface FileOfUser {
  readonly mediaId: string;
  readonly contentType: string;
  readonly fileName: string | undefined;
  readonly size: number;
  readonly createdAt: number;
  readonly usedAt: number;
  readonly blocked: boolean;
}

export class MediaAdmin {
  readonly #db: Database;
  readonly #serverName: string;
  readonly #store: MediaStore;

  constructor(db: Database, serverName: string, store: MediaStore) {
    this.#db = db;
    this.#serverName = serverName;
    this.#store = store;
  }

  /** Deletes local media. @returns whether it existed */
  async remove(mediaId: string): Promise<boolean> {
    const found = await this.#store.remove(this.#serverName, mediaId);
    await this.#store.sweep();
    return found;
  }

  /** Quarantines media of any server, or lifts it. Unknown media stay unaffected. */
  async block(origin: string, mediaId: string, blocked: boolean): Promise<void> {
    await this.#store.block(origin, mediaId, blocked);
  }

  /** Deletes local media that are unused since then and at least `minBytes` long. @returns their ids */
  async removeUnused(since: number, minBytes: number): Promise<string[]> {
    return this.#removed(
      `DELETE FROM media m USING blobs b WHERE b.sha256 = m.sha256 AND m.origin = $1 AND NOT m.cached AND NOT m.blocked
       AND m.used_at < $2 AND b.size >= $3 RETURNING m.media_id`,
      [this.#serverName, since, minBytes],
    );
  }

  /** Deletes cached remote media that are unused since then. @returns how many */
  async purgeCache(since: number): Promise<number> {
    const ids = await this.#removed(
      'DELETE FROM media WHERE cached AND NOT blocked AND used_at < $1 RETURNING media_id',
      [since],
    );
    return ids.length;
  }

  /** The media of a local user, newest first, and their number. */
  async of(userId: string, from: number, limit: number): Promise<{ files: FileOfUser[]; total: number }> {
    const [count] = await this.#db.query<{ total: number }>(
      'SELECT count(*) AS total FROM media WHERE uploader = $1 AND sha256 IS NOT NULL',
      [userId],
    );
    const rows = await this.#db.query<{
      media_id: string;
      content_type: string;
      file_name: string | null;
      size: number;
      created_at: number;
      used_at: number;
      blocked: boolean;
    }>(
      `SELECT m.media_id, m.content_type, m.file_name, b.size, m.created_at, m.used_at, m.blocked
       FROM media m JOIN blobs b ON b.sha256 = m.sha256 WHERE m.uploader = $1
       ORDER BY m.created_at DESC, m.media_id OFFSET $2 LIMIT $3`,
      [userId, from, limit],
    );
    const files = rows.map((row) => ({
      mediaId: row.media_id,
      contentType: row.content_type,
      fileName: row.file_name ?? undefined,
      size: row.size,
      createdAt: row.created_at,
      usedAt: row.used_at,
      blocked: row.blocked,
    }));
    return { files, total: count?.total ?? 0 };
  }

  /** Deletes all media of a local user. @returns their ids */
  async removeAllOf(userId: string): Promise<string[]> {
    return this.#removed('DELETE FROM media WHERE uploader = $1 AND NOT blocked RETURNING media_id', [userId]);
  }

  async #removed(sql: string, params: readonly unknown[]): Promise<string[]> {
    const rows = await this.#db.query<{ media_id: string }>(sql, params);
    await this.#store.sweep();
    return rows.map(({ media_id: mediaId }) => mediaId);
  }
}
