/** Files on disk, each named by the SHA-256 of its content, so that no name from outside ever becomes a path. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

/** Thrown when a stream exceeds the size limit. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
  readonly code = 'TOO_LARGE';
}

/** A completely received file that is not stored yet. Keep it or discard it. */
export interface Received {
  readonly path: string;
  /** In hexadecimal. */
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
}

export class Blobs {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Opens a data folder, creates it if necessary, and removes partial files of an earlier process. */
  static async open(folder: string): Promise<Blobs> {
    const incoming = join(folder, 'incoming');
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    for (const name of await readdir(incoming)) await rm(join(incoming, name), { force: true });
    return new Blobs(folder);
  }

  /**
   * Writes a stream to a temporary file.
   *
   * @throws TooLargeError as soon as more than `maxBytes` were received; or the stream's error
   */
  async receive(source: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Received> {
    const path = join(this.#folder, 'incoming', randomUUID());
    const hash = createHash('sha256');
    let size = 0;
    try {
      const file = await open(path, 'wx', 0o600);
      try {
        for await (const chunk of source) {
          size += chunk.length;
          if (size > maxBytes) throw new TooLargeError(`The file has more than ${String(maxBytes)} bytes.`);
          hash.update(chunk);
          await file.writeFile(chunk);
        }
        await file.datasync();
      } finally {
        await file.close();
      }
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return { path, sha256: hash.digest('hex'), size };
  }

  /** Stores a received file under its name; it may already exist. */
  async keep({ path, sha256 }: Received): Promise<void> {
    const target = this.path(sha256);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await rename(path, target);
  }

  /** Removes a received file that was not kept. */
  async discard({ path }: Received): Promise<void> {
    await rm(path, { force: true });
  }

  /** The bytes of a file, `start` and `end` inclusive; by default the whole file. */
  read(sha256: string, range?: { readonly start: number; readonly end: number }): Readable {
    return createReadStream(this.path(sha256), range);
  }

  /** Whether the file is on disk. */
  async has(sha256: string): Promise<boolean> {
    return stat(this.path(sha256)).then(
      () => true,
      () => false,
    );
  }

  async remove(sha256: string): Promise<void> {
    await rm(this.path(sha256), { force: true });
  }

  path(sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new TypeError('That is not the name of a stored file.');
    return join(this.#folder, 'blobs', sha256.slice(0, 2), sha256.slice(2, 4), sha256);
  }
}
