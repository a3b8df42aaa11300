/** Registration with a shared secret, as by Synapse's `register_new_matrix_user`. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { MatrixError } from '../base/errors.ts';
import { ExpiringMap } from '../base/expiring-map.ts';
import { hashSecret, newSecret } from './secrets.ts';

const NONCE_LIFE_MS = 60_000;
const MAX_NONCES = 10_000;

export interface SignedRegistration {
  readonly nonce: string;
  readonly username: string;
  readonly password: string;
  readonly admin: boolean;
  readonly userType?: string | undefined;
  /** HMAC-SHA1 in hexadecimal digits. */
  readonly mac: string;
}

export class SharedSecret {
  readonly #secret: string;
  readonly #nonces: ExpiringMap<true>;

  /** @param now the clock, Unix ms */
  constructor(secret: string, now: () => number = Date.now) {
    this.#secret = secret;
    this.#nonces = new ExpiringMap({ lifeMs: NONCE_LIFE_MS, maxSize: MAX_NONCES, now });
  }

  /** A nonce for one registration, valid for a minute. */
  nonce(): string {
    const nonce = newSecret('');
    this.#nonces.set(nonce, true);
    return nonce;
  }

  /** @throws MatrixError 400 for an unknown nonce, 403 for a wrong signature */
  check({ nonce, username, password, admin, userType, mac }: SignedRegistration): void {
    if (this.#nonces.take(nonce) === undefined)
      throw new MatrixError(400, 'M_UNKNOWN', 'The nonce is unknown or has expired. Request a new one.');
    const parts = [nonce, username, password, admin ? 'admin' : 'notadmin'];
    if (userType !== undefined) parts.push(userType);
    const expected = createHmac('sha1', this.#secret).update(parts.join('\0')).digest('hex');
    // Hashed first, so that both have the same length for the comparison.
    if (!timingSafeEqual(hashSecret(expected), hashSecret(mac.toLowerCase()))) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'The mac is wrong.');
    }
  }
}
