/** Password hashes (scrypt), with a limit on concurrent work. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { MatrixError } from '../base/errors.ts';

/** Local accounts with passwords, besides those of an identity provider. All off by default. */
export interface PasswordConfig {
  /** Whether password log-in is on. */
  readonly login: boolean;
  /** Whether anybody may register an account with a password. */
  readonly registration: boolean;
  /** log2 of the cost of new password hashes. */
  readonly cost: number;
  /** Whoever knows it may register accounts, including administrators. */
  readonly adminSecret: string | undefined;
}

/** Longer passwords are refused: they would only cost CPU time. */
export const MAX_PASSWORD = 512;

/** log2 of the cost of new hashes; with p = 3, the minimum recommended by OWASP. */
export const DEFAULT_COST = 15;
const BLOCK_SIZE = 8;
const PARALLELISM = 3;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** Hashes computed concurrently: each takes a thread and 32 MiB. */
const AT_ONCE = 2;
/** Most hashes waiting. */
const MAX_WAITING = 200;

export class Passwords {
  readonly #cost: number;
  readonly #decoy: string;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param cost log2 of the cost of new hashes, from 1 to 20 */
  constructor(cost = DEFAULT_COST) {
    this.#cost = cost;
    this.#decoy = encode(cost, randomBytes(SALT_BYTES), randomBytes(HASH_BYTES));
  }

  /** @returns the stored form: `scrypt$<log2 N>$<r>$<p>$<salt>$<hash>`, salt and hash in base64url */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    return encode(this.#cost, salt, await this.#derive(password, salt, this.#cost, BLOCK_SIZE, PARALLELISM));
  }

  /**
   * Whether a password matches a hash. Without a hash it takes the same time and returns false, so that timing does not
   * reveal whether an account exists.
   */
  async check(password: string, stored: string | undefined): Promise<boolean> {
    const [, cost, blockSize, parallelism, salt, hash] =
      /^scrypt\$([0-9]{1,2})\$([0-9]{1,2})\$([0-9]{1,2})\$([\w-]+)\$([\w-]+)$/.exec(stored ?? this.#decoy) ?? [];
    if (salt === undefined || hash === undefined) throw new Error('A stored password hash is malformed.');
    const derived = await this.#derive(
      password,
      Buffer.from(salt, 'base64url'),
      Number(cost),
      Number(blockSize),
      Number(parallelism),
    );
    return timingSafeEqual(derived, Buffer.from(hash, 'base64url')) && stored !== undefined;
  }

  async #derive(password: string, salt: Buffer, cost: number, r: number, p: number): Promise<Buffer> {
    await this.#turn();
    try {
      const N = 2 ** cost;
      return await new Promise((resolve, reject) => {
        // The same password can have several Unicode forms; NFC is what most systems send.
        scrypt(password.normalize('NFC'), salt, HASH_BYTES, { N, r, p, maxmem: 256 * N * r }, (error, key) =>
          error ? reject(error) : resolve(key),
        );
      });
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  async #turn(): Promise<void> {
    if (this.#running < AT_ONCE) {
      this.#running += 1;
    } else {
      if (this.#waiting.length >= MAX_WAITING) {
        throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many log-ins at once. Please try again in a moment.', {
          retry_after_ms: 5000,
        });
      }
      // A finished one passes its slot on.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

function encode(cost: number, salt: Buffer, hash: Buffer): string {
  const figures = `${String(cost)}$${String(BLOCK_SIZE)}$${String(PARALLELISM)}`;
  return `scrypt$${figures}$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}
