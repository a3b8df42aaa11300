/**
 * Passwords of guest links: hashed like those of accounts, by a queue of their own, so that nobody who has a link holds up
 * log-ins. Guesses are counted before they are looked at, so that many at once are no way around the bound; right ones do
 * not count.
 */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { LINK_ERRORS } from '../../protocol/guest-links.ts';
import { Passwords } from '../accounts/passwords.ts';
import { MatrixError } from '../base/errors.ts';
import { LINK_PASSWORD_RATE, LINK_PASSWORD_RATE_OF_ADDRESS } from '../base/limits.ts';
import type { Rate } from '../base/limits.ts';
import { addressKey } from '../base/rate-limits.ts';
import type { GuestLink } from './guest-links.ts';

export interface LinkPasswordsOptions {
  /** log2 of the cost of new hashes. */
  readonly cost?: number;
  /** The limits are multiplied by it; 0 turns them off. */
  readonly rateLimitFactor: number;
}

export class LinkPasswords {
  readonly #passwords: Passwords;
  readonly #ofLink: RateLimiterMemory | undefined;
  readonly #ofAddress: RateLimiterMemory | undefined;

  constructor({ cost, rateLimitFactor }: LinkPasswordsOptions) {
    this.#passwords = new Passwords(cost);
    this.#ofLink = limiter(LINK_PASSWORD_RATE, rateLimitFactor);
    this.#ofAddress = limiter(LINK_PASSWORD_RATE_OF_ADDRESS, rateLimitFactor);
  }

  /** What is kept of a password. */
  hash(password: string): Promise<string> {
    return this.#passwords.hash(password);
  }

  /**
   * Whether somebody may come by a link with this password; by one without a password everybody may.
   *
   * @param address IP address of the asker
   * @throws MatrixError 403 for another password or none, 429 after too many wrong ones
   */
  async require(
    { linkId, passwordHash }: Pick<GuestLink, 'linkId' | 'passwordHash'>,
    password: string | undefined,
    address: string | undefined,
  ): Promise<void> {
    if (passwordHash === undefined) return;
    if (password === undefined || password === '') {
      throw new MatrixError(403, LINK_ERRORS.password, 'This link asks for a password.');
    }
    const counts = [
      { limit: this.#ofAddress, key: addressKey(address) },
      { limit: this.#ofLink, key: linkId },
    ];
    for (const { limit, key } of counts) await take(limit, key);
    const isRight = await this.#passwords.check(password, passwordHash);
    if (!isRight) throw new MatrixError(403, LINK_ERRORS.password, 'This is not the password of this link.');
    for (const { limit, key } of counts) await limit?.reward(key);
  }
}

function limiter({ points, seconds }: Rate, factor: number): RateLimiterMemory | undefined {
  if (factor === 0) return undefined;
  return new RateLimiterMemory({ points: Math.max(1, Math.floor(points * factor)), duration: seconds });
}

async function take(limit: RateLimiterMemory | undefined, key: string): Promise<void> {
  await limit?.consume(key).catch((reason: unknown) => {
    if (!(reason instanceof RateLimiterRes)) throw reason;
    throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many wrong passwords. Please try again later.', {
      retry_after_ms: Math.max(1, reason.msBeforeNext),
    });
  });
}
