/** Files with a secret of this server, made at the first start. */
import { randomBytes } from 'node:crypto';
import { link, readFile, unlink, writeFile } from 'node:fs/promises';

/**
 * The text of a file. When there is none it is made, and its owner alone can read it.
 *
 * @param make the text of a new file
 */
export async function secretFile(file: string, make: () => string): Promise<string> {
  return (await readIfThere(file)) ?? (await create(file, make()));
}

async function create(file: string, text: string): Promise<string> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, text, { mode: 0o600, flag: 'wx', flush: true });
  try {
    // Fails if another process was faster, and never leaves a partial file.
    await link(draft, file);
  } finally {
    await unlink(draft);
  }
  return text;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
