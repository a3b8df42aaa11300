/** Local media, and cached remote media. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { isServerName } from '../../../federation/identifiers.ts';
import { isForeignKeyViolation } from '../../database/errors.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { ANNOUNCED_FILES, GUEST_FILES_BYTES } from '../../base/limits.ts';
import { TooLargeError } from './blobs.ts';
import type { Blobs, Received } from './blobs.ts';
import { MediaStore } from './media-store.ts';
import type { MediaInfo, StoredMedia, ThumbnailKey } from './media-store.ts';
import { makeThumbnail, thumbnailKey } from './pictures.ts';
import type { RemoteMedia } from './remote-media.ts';

export interface MediaLimits {
  /** Largest file, in bytes. */
  readonly maxBytes: number;
  /** Quota for all files of one user, in bytes; 0 for no limit. */
  readonly quotaBytes: number;
  /** Size of the cache of remote media, in bytes; at least four times the largest file. */
  readonly cacheBytes: number;
}

export interface MediaOptions extends MediaLimits {
  readonly serverName: string;
  readonly db: Database;
  readonly blobs: Blobs;
  readonly remote: Pick<RemoteMedia, 'fetch'>;
  /** Whether a local user is a guest, with a smaller quota. */
  readonly isGuest: (userId: string) => Promise<boolean>;
  /**
   * Counts the bytes that a user uploads. @throws MatrixError 429 when there were too many lately
   *
   * @throws MatrixError 429 when it was too much lately
   */
  readonly takeUploaded: (userId: string, bytes: number) => Promise<void>;
}

export interface FindOptions {
  /** How long to wait for a pending upload, in ms. */
  readonly timeoutMs: number;
  /** Whether to fetch missing media from other servers. */
  readonly allowRemote: boolean;
  /** Aborts the wait. */
  readonly signal?: AbortSignal;
}

/** How long an upload may be pending, in ms. */
const PROMISE_MS = 24 * 60 * 60_000;
/** Remote media unused for this long are evicted, in ms. */
const UNUSED_MS = 90 * 24 * 60 * 60_000;
/** How far the cache of remote media may exceed its limit, as a fraction of it. */
const MAX_GROWTH = 0.1;
/**
 * Just fetched media must stay for those who requested them: the cache always fits this many files of the largest size.
 */
const MIN_CACHE_FILES = 4;
const MEDIA_ID = /^[A-Za-z0-9_-]{1,255}$/;

export class Media {
  /** For administration and cleaning up. */
  readonly store: MediaStore;
  readonly #options: MediaOptions;
  readonly #cacheBytes: number;
  readonly #fetching = new Map<string, Promise<StoredMedia>>();
  readonly #making = new Map<string, Promise<StoredMedia>>();
  /** Bytes added to the cache since the last clean-up. */
  #grown = 0;
  /** Requests that wait for pending uploads, by media id. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(options: MediaOptions) {
    this.#options = options;
    this.store = new MediaStore(options.db, options.blobs);
    this.#cacheBytes = Math.max(options.cacheBytes, MIN_CACHE_FILES * options.maxBytes);
  }

  get maxBytes(): number {
    return this.#options.maxBytes;
  }

  /**
   * Stores an upload of a local user. @returns the media id
   *
   * @throws MatrixError 413 M_TOO_LARGE, 403 M_FORBIDDEN when the quota would be exceeded, or 429
   */
  async upload(uploader: string, source: AsyncIterable<Uint8Array>, info: MediaInfo): Promise<string> {
    const mediaId = newMediaId();
    const { serverName: origin } = this.#options;
    await this.#receive(uploader, source, (file) =>
      this.store.add({ ...info, origin, mediaId, uploader, cached: false }, file, this.#quota(uploader, file)),
    );
    return mediaId;
  }

  /** Caches a file that belongs to nobody, such as the image of a URL preview. */
  async keepCached(file: Received, info: MediaInfo): Promise<string> {
    const mediaId = newMediaId();
    await this.store.add({ ...info, origin: this.#options.serverName, mediaId, cached: true }, file);
    await this.#makeRoom(file.size);
    return mediaId;
  }

  /**
   * Reserves a media id for a later upload.
   *
   * @throws MatrixError 429 M_LIMIT_EXCEEDED when the user has too many pending uploads
   */
  async create(uploader: string): Promise<{ mediaId: string; expiresAt: number }> {
    if ((await this.store.promises(uploader)) >= ANNOUNCED_FILES) {
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'You have too many pending uploads. Complete one of them first.', {
        retry_after_ms: 60_000,
      });
    }
    const mediaId = newMediaId();
    const expiresAt = Date.now() + PROMISE_MS;
    await this.store.promise(this.#options.serverName, mediaId, uploader, expiresAt);
    return { mediaId, expiresAt };
  }

  /**
   * Completes a pending upload.
   *
   * @throws MatrixError 404 M_NOT_FOUND, 403 M_FORBIDDEN for the media id of another user, 409 M_CANNOT_OVERWRITE_MEDIA,
   *   413 M_TOO_LARGE, 429
   */
  async complete(
    uploader: string,
    origin: string,
    mediaId: string,
    source: AsyncIterable<Uint8Array>,
    info: MediaInfo,
  ): Promise<void> {
    const row = origin === this.#options.serverName ? await this.store.find(origin, mediaId) : undefined;
    if (row === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'No upload is pending for this media id.');
    if (row.uploader !== uploader) throw new MatrixError(403, 'M_FORBIDDEN', 'This media id belongs to another user.');
    if (row.sha256 !== undefined) throw alreadyThere();
    if (row.expiresAt === undefined || row.expiresAt < Date.now()) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'The media id has expired. Create a new one.');
    }
    await this.#receive(uploader, source, async (file) => {
      const check = this.#quota(uploader, file);
      if (!(await this.store.fulfil(origin, mediaId, info, file, check))) throw alreadyThere();
    });
    for (const wake of this.#waiting.get(mediaId) ?? []) wake();
  }

  /**
   * Finds media, if necessary on another server.
   *
   * @throws MatrixError 404 M_NOT_FOUND, 504 M_NOT_YET_UPLOADED; or what `RemoteMedia` throws
   */
  async find(origin: string, mediaId: string, options: FindOptions): Promise<StoredMedia> {
    if (!MEDIA_ID.test(mediaId) || !isServerName(origin)) throw notFound();
    if (origin === this.#options.serverName) return this.#local(mediaId, options);
    const known = await this.#known(origin, mediaId);
    if (known !== undefined) return known;
    if (!options.allowRemote) throw notFound();
    return once(this.#fetching, `${origin}/${mediaId}`, () => this.#fetch(origin, mediaId));
  }

  /**
   * A thumbnail, created on first use.
   *
   * @throws MatrixError what `find` and `makeThumbnail` throw
   */
  async thumbnail(origin: string, mediaId: string, asked: ThumbnailKey, options: FindOptions): Promise<StoredMedia> {
    const source = await this.find(origin, mediaId, options);
    const key = thumbnailKey(asked);
    const known = await this.#onDisk(await this.store.thumbnail(source.sha256, key));
    if (known !== undefined) return known;
    const name = [source.sha256, key.width, key.method, key.animated].join(' ');
    return once(this.#making, name, async () => {
      const { bytes, contentType } = await makeThumbnail(this.#options.blobs.path(source.sha256), key);
      const file = await this.#options.blobs.receive(Readable.from([bytes]), Infinity);
      await this.#settled(file, () => this.store.addThumbnail(source.sha256, key, contentType, file)).catch(
        (error: unknown) => {
          // The original was deleted meanwhile.
          throw isForeignKeyViolation(error) ? notFound() : error;
        },
      );
      return { sha256: file.sha256, size: file.size, contentType, fileName: undefined };
    });
  }

  /** The bytes of a file, `start` and `end` inclusive; by default the whole file. */
  read({ sha256 }: StoredMedia, range?: { readonly start: number; readonly end: number }): Readable {
    return this.#options.blobs.read(sha256, range);
  }

  /** Deletes expired and evicted media. To be called from time to time. */
  async cleanUp(): Promise<void> {
    this.#grown = 0;
    await this.store.removeExpired();
    await this.store.evict(this.#cacheBytes, Date.now() - UNUSED_MS);
    await this.store.sweep();
  }

  /** Keeps the cache from filling the disk between two clean-ups. */
  async #makeRoom(bytes: number): Promise<void> {
    this.#grown += bytes;
    if (this.#grown > this.#cacheBytes * MAX_GROWTH) await this.cleanUp();
  }

  async #local(mediaId: string, { timeoutMs, signal }: FindOptions): Promise<StoredMedia> {
    const { serverName: origin } = this.#options;
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      // Start waiting before checking, so that the upload cannot be missed.
      const waiter = this.#wait(mediaId);
      try {
        const row = await this.store.find(origin, mediaId);
        if (row === undefined || row.blocked) throw notFound();
        if (row.sha256 !== undefined) {
          const found = await this.#onDisk({ ...row, sha256: row.sha256 });
          if (found === undefined) throw notFound();
          return found;
        }
        if (row.expiresAt === undefined || row.expiresAt < Date.now()) throw notFound();
        const left = deadline - Date.now();
        if (left <= 0 || signal?.aborted === true) {
          throw new MatrixError(504, 'M_NOT_YET_UPLOADED', 'Media has not been uploaded yet');
        }
        await waiter.during(left, signal);
      } finally {
        waiter.end();
      }
    }
  }

  #wait(mediaId: string): { during(ms: number, signal?: AbortSignal): Promise<void>; end(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#waiting.get(mediaId) ?? new Set();
    this.#waiting.set(mediaId, waiters.add(resolve));
    return {
      async during(ms, signal) {
        const timer = setTimeout(resolve, ms);
        signal?.addEventListener('abort', () => resolve(), { once: true });
        await promise;
        clearTimeout(timer);
      },
      end: () => {
        waiters.delete(resolve);
        if (waiters.size === 0) this.#waiting.delete(mediaId);
      },
    };
  }

  async #known(origin: string, mediaId: string): Promise<StoredMedia | undefined> {
    const row = await this.store.find(origin, mediaId);
    if (row?.blocked === true) throw notFound();
    if (row?.sha256 === undefined) return undefined;
    const found = await this.#onDisk({ ...row, sha256: row.sha256 });
    // The file is gone from disk: fetch it again.
    if (found === undefined) await this.store.remove(origin, mediaId);
    return found;
  }

  async #fetch(origin: string, mediaId: string): Promise<StoredMedia> {
    const { file, contentType, fileName } = await this.#options.remote.fetch(origin, mediaId);
    const info = { contentType, fileName };
    await this.#settled(file, () => this.store.add({ ...info, origin, mediaId, cached: true }, file));
    await this.#makeRoom(file.size);
    return { ...info, sha256: file.sha256, size: file.size };
  }

  async #onDisk(media: StoredMedia | undefined): Promise<StoredMedia | undefined> {
    return media !== undefined && (await this.#options.blobs.has(media.sha256)) ? media : undefined;
  }

  async #receive(
    uploader: string,
    source: AsyncIterable<Uint8Array>,
    keep: (file: Received) => Promise<void>,
  ): Promise<void> {
    const { blobs, isGuest, takeUploaded } = this.#options;
    const maxBytes = (await isGuest(uploader)) ? Math.min(GUEST_FILES_BYTES, this.maxBytes) : this.maxBytes;
    const file = await blobs.receive(source, maxBytes).catch((error: unknown) => {
      if (!(error instanceof TooLargeError)) throw error;
      throw new MatrixError(413, 'M_TOO_LARGE', `A file may have at most ${String(maxBytes)} bytes.`);
    });
    await this.#settled(file, async () => {
      await takeUploaded(uploader, file.size);
      await keep(file);
    });
  }

  /** Discards a file if storing it fails. */
  async #settled(file: Received, keep: () => Promise<void>): Promise<void> {
    try {
      await keep();
    } finally {
      await this.#options.blobs.discard(file);
    }
  }

  #quota(uploader: string, file: Received): (tx: Tx) => Promise<void> {
    return async (tx) => {
      const quotaBytes = (await this.#options.isGuest(uploader)) ? GUEST_FILES_BYTES : this.#options.quotaBytes;
      if (quotaBytes === 0 || (await this.store.usage(uploader, tx)) + file.size <= quotaBytes) return;
      throw new MatrixError(403, 'M_FORBIDDEN', 'Your storage quota is used up. Delete older files first.');
    };
  }
}

/** Shares one run among concurrent callers with the same key. */
async function once<T>(running: Map<string, Promise<T>>, key: string, run: () => Promise<T>): Promise<T> {
  const known = running.get(key);
  if (known !== undefined) return known;
  const started = run().finally(() => running.delete(key));
  running.set(key, started);
  return started;
}

function newMediaId(): string {
  return randomBytes(18).toString('base64url');
}

function notFound(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'No such media.');
}

function alreadyThere(): MatrixError {
  return new MatrixError(409, 'M_CANNOT_OVERWRITE_MEDIA', 'Media ID already has content');
}
