/** The file with the secret of the server's signing key: one line, `ed25519 <version> <seed in base64>`. */
import { randomBytes } from 'node:crypto';
import { link, readFile, unlink, writeFile } from 'node:fs/promises';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import type { SigningKey } from '../../federation/signing.ts';

/** Thrown when the file has no valid key. The message never contains its content. */
export class SigningKeyFileError extends Error {
  override readonly name = 'SigningKeyFileError';
  readonly code = 'SIGNING_KEY_FILE';
}

/**
 * Reads the signing key, or creates one if there is no file, readable by its owner only.
 *
 * @throws SigningKeyFileError when the file is malformed; it is never overwritten, because rooms contain
 *   signatures by the old key
 */
export async function loadSigningKey(file: string): Promise<SigningKey> {
  const text = (await readIfThere(file)) ?? (await create(file));
  const [, version, seed] = /^ed25519 ([a-zA-Z0-9_]+) ([A-Za-z0-9+/]{43}=?)\s*$/.exec(text) ?? [];
  if (version === undefined || seed === undefined) {
    throw new SigningKeyFileError(`${file} does not contain "ed25519 <version> <seed>".`);
  }
  return createSigningKey(seed, version);
}

async function create(file: string): Promise<string> {
  const text = `ed25519 a_${randomBytes(3).toString('hex')} ${generateSeed()}\n`;
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
