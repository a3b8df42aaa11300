/** Login tokens: exchange a finished log-in at the identity provider for a session. */
import { ExpiringMap } from '../base/expiring-map.ts';
import { hashSecret, newSecret } from './secrets.ts';
import type { UpstreamGrant } from './upstream/store.ts';

/** What a token is exchanged for. */
export interface LoginTokenHolder {
  readonly userId: string;
  /** By which the session follows the one at the identity provider. */
  readonly grant?: UpstreamGrant | undefined;
}

/** In ms. */
export const LOGIN_TOKEN_LIFE_MS = 2 * 60 * 1000;
const MAX_TOKENS = 10_000;

export class LoginTokens {
  readonly #tokens: ExpiringMap<LoginTokenHolder>;

  /** @param now the clock, Unix ms */
  constructor(now: () => number = Date.now) {
    this.#tokens = new ExpiringMap({ lifeMs: LOGIN_TOKEN_LIFE_MS, maxSize: MAX_TOKENS, now });
  }

  /** Issues a token, valid once and for two minutes. */
  issue(holder: LoginTokenHolder): string {
    const token = newSecret('hsl_');
    this.#tokens.set(hashSecret(token).toString('base64'), holder);
    return token;
  }

  /** The holder of a token, undefined when it is unknown, used or expired. */
  redeem(token: string): LoginTokenHolder | undefined {
    return this.#tokens.take(hashSecret(token).toString('base64'));
  }
}
