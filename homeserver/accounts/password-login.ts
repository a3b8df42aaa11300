/** Password checks, with limits against guessing. */
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { MatrixError } from '../base/errors.ts';
import { addressKey } from '../base/rate-limits.ts';
import type { Account, Accounts } from './accounts.ts';
import type { Passwords } from './passwords.ts';

/** Wrong passwords per account and network. */
const NEAR = { points: 10, duration: 60 };
/** Wrong passwords per account from all networks: more, so that an attacker cannot easily lock a user out. */
const FAR = { points: 200, duration: 600 };

export interface PasswordLoginOptions {
  readonly accounts: Accounts;
  readonly passwords: Passwords;
  /** The limits are multiplied by it; 0 turns them off. */
  readonly rateLimitFactor: number;
}

export class PasswordLogin {
  readonly #options: PasswordLoginOptions;
  readonly #near: RateLimiterMemory;
  readonly #far: RateLimiterMemory;

  constructor(options: PasswordLoginOptions) {
    this.#options = options;
    const limiter = ({ points, duration }: { points: number; duration: number }): RateLimiterMemory =>
      new RateLimiterMemory({ points: Math.max(1, Math.floor(points * options.rateLimitFactor)), duration });
    this.#near = limiter(NEAR);
    this.#far = limiter(FAR);
  }

  /**
   * The account with this password, undefined if there is none. Both take the same time.
   *
   * @param userId may be unknown
   * @param address the client's IP address
   * @throws MatrixError 429 after too many wrong passwords
   */
  async check(userId: string, password: string, address: string | undefined): Promise<Account | undefined> {
    const { accounts, passwords, rateLimitFactor } = this.#options;
    const nearKey = `${addressKey(address)} ${userId}`;
    if (rateLimitFactor > 0) {
      await requirePoints(this.#near, nearKey);
      await requirePoints(this.#far, userId);
    }
    const account = await accounts.find(userId);
    if (await passwords.check(password, account?.passwordHash)) return account;
    if (rateLimitFactor > 0) {
      await this.#near.penalty(nearKey);
      await this.#far.penalty(userId);
    }
    return undefined;
  }

  /** @returns the hash of a new password */
  async hash(password: string): Promise<string> {
    return this.#options.passwords.hash(password);
  }
}

async function requirePoints(limiter: RateLimiterMemory, key: string): Promise<void> {
  const state = await limiter.get(key);
  if (state === null || state.remainingPoints > 0) return;
  throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many wrong passwords. Please try again in a moment.', {
    retry_after_ms: Math.max(1, state.msBeforeNext),
  });
}
