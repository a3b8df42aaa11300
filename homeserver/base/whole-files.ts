/** Files that are read and written whole or not at all. */
import { randomBytes } from 'node:crypto';
import { link, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Only its owner reads it: for secrets. */
export const SECRET_MODE = 0o600;

/** Keys, certificates and settings of one organisation are much shorter, in bytes. */
const MAX_BYTES = 1024 * 1024;

/** What somebody has named as a file is none of those that are read here. */
export class UnfitFileError extends Error {
  override readonly name = 'UnfitFileError';
  readonly code = 'UNFIT_FILE';
}

/**
 * What is in a file. Somebody may have named a device, a folder or a disk image: none is read without end.
 *
 * @throws the system's error; UnfitFileError for what is no file or larger than 1 MiB
 */
export async function readWhole(file: string): Promise<Buffer> {
  const found = await stat(file);
  // Even to open a pipe would wait for somebody to write into it.
  if (!found.isFile()) throw new UnfitFileError(`${file} is not a file.`);
  if (found.size > MAX_BYTES) throw new UnfitFileError(`${file} is larger than 1 MiB.`);
  return readFile(file);
}

/** The text of a file, with the same bound. @throws as `readWhole` */
export async function readText(file: string): Promise<string> {
  return (await readWhole(file)).toString('utf8');
}

/** The text of a file; undefined when there is no such file. @throws as `readWhole` */
export function readIfThere(file: string): Promise<string | undefined> {
  return ifThere(readText(file));
}

/**
 * Gives a file its text, in place of what it had: whoever reads it finds the old text or the new one. A file that is
 * there keeps its owner and its mode, but a secret is never for others.
 *
 * @param mode of a new file
 */
export async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  // What a link leads to is replaced, and not the link.
  const target = (await ifThere(realpath(file))) ?? file;
  const before = await ifThere(stat(target));
  const owner = before && { uid: before.uid, gid: before.gid };
  const allowed = mode === SECRET_MODE ? 0o770 : 0o777;
  await withDraft(target, text, before ? before.mode & allowed : mode, owner, (draft) => rename(draft, target));
}

/** Makes a file that is not there yet. @throws the system's error; `EEXIST` when there is one, which is left alone */
export async function writeNew(file: string, text: string, mode: number): Promise<void> {
  // A link fails where there is a file already, and never leaves part of one.
  await withDraft(file, text, mode, undefined, (draft) => link(draft, file));
}

async function withDraft(
  file: string,
  text: string,
  mode: number,
  owner: { readonly uid: number; readonly gid: number } | undefined,
  place: (draft: string) => Promise<void>,
): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const handle = await open(draft, 'wx', mode);
    try {
      // Only root may give files away; for everybody else the owner is the same already.
      if (owner && process.getuid?.() === 0) await handle.chown(owner.uid, owner.gid);
      await handle.chmod(mode);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await place(draft);
  } finally {
    await rm(draft, { force: true });
  }
  await flushFolder(dirname(file));
}

/** The name of a new file survives a loss of power only once its folder is on the disk. */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function ifThere<T>(looked: Promise<T>): Promise<T | undefined> {
  try {
    return await looked;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
