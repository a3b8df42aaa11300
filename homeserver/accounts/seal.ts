/** What the identity provider has entrusted to us is encrypted at rest: whoever has a copy of the database cannot use it. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { secretFile } from '../base/secret-file.ts';

/** The key file has another form, or what is stored was sealed by another key. No message contains a secret. */
export class SealError extends Error {
  override readonly name = 'SealError';
  readonly code = 'SEAL';
}

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** AES-256-GCM with a random nonce for each text (NIST SP 800-38D). */
export class Seal {
  readonly #key: Buffer;

  /** @param key 32 bytes */
  constructor(key: Buffer) {
    if (key.length !== KEY_BYTES) throw new SealError('The key must have 32 bytes.');
    this.#key = key;
  }

  /** @param owner to whom it belongs: it cannot be opened as somebody else's */
  close(text: string, owner: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(owner));
    const sealed = [cipher.update(text, 'utf8'), cipher.final()];
    return Buffer.concat([nonce, cipher.getAuthTag(), ...sealed]);
  }

  /** A secret that only the holder of the key knows, for another purpose, in base64url (HKDF, RFC 5869). */
  secretFor(purpose: string): string {
    return Buffer.from(hkdfSync('sha256', this.#key, '', purpose, KEY_BYTES)).toString('base64url');
  }

  /** @throws SealError when it was sealed by another key, for another owner, or was changed */
  open(sealed: Buffer, owner: string): string {
    try {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const tag = sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
      const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(owner)).setAuthTag(tag);
      return decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    } catch (error) {
      throw new SealError('What is stored cannot be opened with this key.', { cause: error });
    }
  }
}

/**
 * Reads the key from its file, `aes256 <32 bytes in base64>`, which is made at the first start.
 *
 * @throws SealError when the file has another form
 */
export async function loadSeal(file: string): Promise<Seal> {
  const text = await secretFile(file, () => `aes256 ${randomBytes(KEY_BYTES).toString('base64')}\n`);
  const [, key] = /^aes256 ([A-Za-z0-9+/]{43}=)\s*$/.exec(text) ?? [];
  if (key === undefined) throw new SealError(`${file} does not contain "aes256 <key>".`);
  return new Seal(Buffer.from(key, 'base64'));
}
