/** Random secrets and their hashes. */
import { createHash, randomBytes } from 'node:crypto';

/** The base32 alphabet of RFC 4648 in lower case: valid in user and device ids. */
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const SECRET_BYTES = 32;

/** A secret of 32 random bytes in base64url, with a prefix for secret scanners. */
export function newSecret(prefix: string): string {
  return prefix + randomBytes(SECRET_BYTES).toString('base64url');
}

/** SHA-256 of a secret. Secrets have 256 random bits, so a slow hash would add nothing. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Random characters of a-z and 2-7, five bits each. */
export function randomBase32(length: number): string {
  return Array.from(randomBytes(length), (byte) => BASE32.charAt(byte & 31)).join('');
}
