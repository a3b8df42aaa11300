/** The file with the secret of the server's signing key: one line, `ed25519 <version> <seed in base64>`. */
import { randomBytes } from 'node:crypto';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import type { SigningKey } from '../../federation/signing.ts';
import { secretFile } from '../base/secret-file.ts';

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
  const text = await secretFile(file, () => `ed25519 a_${randomBytes(3).toString('hex')} ${generateSeed()}\n`);
  const [, version, seed] = /^ed25519 ([a-zA-Z0-9_]+) ([A-Za-z0-9+/]{43}=?)\s*$/.exec(text) ?? [];
  if (version === undefined || seed === undefined) {
    throw new SigningKeyFileError(`${file} does not contain "ed25519 <version> <seed>".`);
  }
  return createSigningKey(seed, version);
}
