/**
 * What lives for minutes: log-ins under way, login tokens and the like. It is in the database, so that a restart loses
 * none of it, under the hash of its key and encrypted: whoever has a copy of the database cannot go on with a log-in.
 */
import { SHORT_LIVED_OF_A_KIND } from '../base/limits.ts';
import type { Database } from '../database/database.ts';
import { hashSecret } from './secrets.ts';
import { SealError } from './seal.ts';
import type { Seal } from './seal.ts';

export interface ShortLivedDeps {
  readonly db: Database;
  readonly seal: Seal;
  /** The clock, Unix ms. */
  readonly now?: () => number;
}

export class ShortLived {
  readonly #deps: Required<ShortLivedDeps>;

  constructor({ db, seal, now = Date.now }: ShortLivedDeps) {
    this.#deps = { db, seal, now };
  }

  /**
   * A collection of its own.
   *
   * @param kind its name in the table; another one when the form of its values changes
   */
  of<T>(kind: string, lifeMs: number): ShortLivedValues<T> {
    return new ShortLivedValues(this.#deps, kind, lifeMs);
  }

  /** Deletes what has expired, and what is too much. */
  async cleanUp(): Promise<void> {
    const { db, now } = this.#deps;
    await db.query(
      `DELETE FROM short_lived WHERE expires_at <= $1 OR (kind, key) IN (
         SELECT kind, key FROM (
           SELECT kind, key, row_number() OVER (PARTITION BY kind ORDER BY expires_at DESC) AS place FROM short_lived
         ) AS ordered WHERE place > $2)`,
      [now(), SHORT_LIVED_OF_A_KIND],
    );
  }
}

interface Sealed {
  value: Buffer;
}

/** Values are stored as JSON; an absent value and undefined are the same. */
export class ShortLivedValues<T> {
  readonly #deps: Required<ShortLivedDeps>;
  readonly #kind: string;
  readonly #lifeMs: number;

  constructor(deps: Required<ShortLivedDeps>, kind: string, lifeMs: number) {
    this.#deps = deps;
    this.#kind = kind;
    this.#lifeMs = lifeMs;
  }

  /** Keeps a value, in the place of an earlier one under this key. */
  async set(key: string, value: T): Promise<void> {
    await this.#write(key, value, Number.MAX_SAFE_INTEGER);
  }

  /** Keeps a value unless there is one under this key. @returns whether it is kept */
  async add(key: string, value: T): Promise<boolean> {
    return this.#write(key, value, this.#deps.now());
  }

  async get(key: string): Promise<T | undefined> {
    const { db, now } = this.#deps;
    const hash = hashSecret(key);
    const rows = await db.query<Sealed>(
      'SELECT value FROM short_lived WHERE kind = $1 AND key = $2 AND expires_at > $3',
      [this.#kind, hash, now()],
    );
    return this.#opened(hash, rows);
  }

  /** Returns and deletes a value: of several who ask at the same time, one gets it. */
  async take(key: string): Promise<T | undefined> {
    const { db, now } = this.#deps;
    const hash = hashSecret(key);
    const rows = await db.query<Sealed>(
      'DELETE FROM short_lived WHERE kind = $1 AND key = $2 AND expires_at > $3 RETURNING value',
      [this.#kind, hash, now()],
    );
    return this.#opened(hash, rows);
  }

  /** @param replacing the time up to which an earlier value must have expired to be replaced, Unix ms */
  async #write(key: string, value: T, replacing: number): Promise<boolean> {
    const { db, seal, now } = this.#deps;
    const hash = hashSecret(key);
    const sealed = seal.close(JSON.stringify(value), this.#owner(hash));
    const written = await db.query(
      `INSERT INTO short_lived (kind, key, value, expires_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
       WHERE short_lived.expires_at <= $5 RETURNING kind`,
      [this.#kind, hash, sealed, now() + this.#lifeMs, replacing],
    );
    return written.length > 0;
  }

  #opened(hash: Buffer, [row]: readonly Sealed[]): T | undefined {
    if (!row) return undefined;
    try {
      // It was sealed by us as this kind, and cannot have been changed since.
      return JSON.parse(this.#deps.seal.open(row.value, this.#owner(hash))) as T;
    } catch (error) {
      // The key was lost: people begin again.
      if (error instanceof SealError) return undefined;
      throw error;
    }
  }

  #owner(hash: Buffer): string {
    return `${this.#kind}\0${hash.toString('base64')}`;
  }
}
