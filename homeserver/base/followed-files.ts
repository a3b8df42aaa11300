/** Files that are read again when somebody has changed them, while the server runs. */
import { stat } from 'node:fs/promises';
import { readText } from './whole-files.ts';

/** Whoever asks more often than this gets what was read before. */
const LOOK_AGAIN_MS = 1_000;

export class FollowedFiles {
  readonly #files: readonly string[];
  readonly #take: (texts: readonly string[]) => void;
  #seen: string | undefined;
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;

  /**
   * @param take gets the texts in the order of the files, at the first look and after each change. What it throws the
   *   look rejects with, once for each change; a file that cannot be read is an error at each look
   */
  constructor(files: readonly string[], take: (texts: readonly string[]) => void) {
    this.#files = files;
    this.#take = take;
  }

  /** Reads the files if they have changed. @throws the system's error, and what the owner of the texts throws */
  look(): Promise<void> {
    if (this.#looking === undefined && performance.now() - this.#lookedAt < LOOK_AGAIN_MS) return Promise.resolve();
    return (this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
      this.#lookedAt = performance.now();
    }));
  }

  async #look(): Promise<void> {
    // Taken before reading: what is written in between is seen by the next look.
    const stamp = (await Promise.all(this.#files.map(stampOf))).join();
    if (stamp === this.#seen) return;
    const texts = await Promise.all(this.#files.map(readText));
    // What could not be read is tried again.
    this.#seen = stamp;
    this.#take(texts);
  }
}

/** What changes with a file; of one that cannot be reached, why. */
async function stampOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file);
    return [ino, size, mtimeMs, ctimeMs].join(' ');
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unreachable';
  }
}
