/** Random secrets and what is kept of them. */
import { createHash, randomBytes } from 'node:crypto';

/** The alphabet of RFC 4648 base32, in lower case: what is made of it is legal in user and device ids. */
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const SECRET_BYTES = 32;

/** A secret of 32 random bytes in base64url behind a prefix that secret scanners can look for. */
export function newSecret(prefix: string): string {
  return prefix + randomBytes(SECRET_BYTES).toString('base64url');
}

/** SHA-256 of a secret. Secrets have 256 random bits, so that a slow hash would protect nothing. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Random characters of a-z and 2-7, five bits each. */
export function randomBase32(length: number): string {
  return Array.from(randomBytes(length), (byte) => BASE32.charAt(byte & 31)).join('');
}
