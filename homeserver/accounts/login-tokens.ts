/**
 * Login tokens: exchange a finished log-in at the identity provider for a session, once, within two minutes, and only
 * where the log-in was begun.
 */
import { timingSafeEqual } from 'node:crypto';
import { hashSecret, newSecret } from './secrets.ts';
import type { ShortLived, ShortLivedValues } from './short-lived.ts';
import type { UpstreamGrant } from './upstream/store.ts';

/** What a token is exchanged for. */
export interface LoginTokenHolder {
  readonly userId: string;
  /** By which the session follows the one at the identity provider. */
  readonly grant?: UpstreamGrant | undefined;
}

/** Who may exchange a token. */
export type TokenBinding =
  /** Our own pages, in the browser that has begun the log-in: it has a secret. */
  | { readonly kind: 'browser'; readonly secretHash: string }
  /** Pages of another origin; browsers say from where they ask. */
  | { readonly kind: 'page'; readonly origin: string }
  /** An app or another device, which has nothing to prove it by; no page of ours. */
  | { readonly kind: 'app' };

/** What a request for a session shows. */
export interface TokenProof {
  /** The header `Origin`, which pages cannot change. */
  readonly origin: string | undefined;
  /** The secret that the browser keeps for this token. */
  readonly secret: string | undefined;
}

/** In ms. */
export const LOGIN_TOKEN_LIFE_MS = 2 * 60 * 1000;

interface Issued extends LoginTokenHolder {
  readonly binding: TokenBinding;
}

export class LoginTokens {
  readonly #tokens: ShortLivedValues<Issued>;
  readonly #ownOrigin: string;

  /** @param publicUrl where our own pages are */
  constructor(shortLived: ShortLived, publicUrl: string) {
    this.#tokens = shortLived.of('login-token', LOGIN_TOKEN_LIFE_MS);
    this.#ownOrigin = new URL(publicUrl).origin;
  }

  /** Issues a token for an app or another device. */
  async issue(holder: LoginTokenHolder): Promise<string> {
    return this.#issue(holder, { kind: 'app' });
  }

  /**
   * Issues a token for the client at an address.
   *
   * @returns the token, and for our own pages the secret that the browser has to keep for it
   */
  async issueFor(target: URL, holder: LoginTokenHolder): Promise<{ token: string; secret?: string }> {
    if (target.origin === this.#ownOrigin) {
      const secret = newSecret('');
      const binding = { kind: 'browser', secretHash: hashSecret(secret).toString('base64') } as const;
      return { token: await this.#issue(holder, binding), secret };
    }
    const isPage = /^https?:$/.test(target.protocol) && !isThisMachine(target.hostname);
    return { token: await this.#issue(holder, isPage ? { kind: 'page', origin: target.origin } : { kind: 'app' }) };
  }

  /**
   * The holder of a token, undefined when it is unknown, used, expired or shown by somebody else. Whoever tries it makes
   * it worthless: one that is shown elsewhere was stolen.
   */
  async redeem(token: string, proof: TokenProof): Promise<LoginTokenHolder | undefined> {
    const issued = await this.#tokens.take(token);
    return issued && this.#isProven(issued.binding, proof) ? issued : undefined;
  }

  async #issue(holder: LoginTokenHolder, binding: TokenBinding): Promise<string> {
    const token = newSecret('hsl_');
    await this.#tokens.set(token, { userId: holder.userId, grant: holder.grant, binding });
    return token;
  }

  #isProven(binding: TokenBinding, { origin, secret }: TokenProof): boolean {
    if (binding.kind === 'browser') {
      return secret !== undefined && timingSafeEqual(hashSecret(secret), Buffer.from(binding.secretHash, 'base64'));
    }
    // Log-in CSRF: our own pages take no token that was not made for them in this browser.
    if (origin === this.#ownOrigin) return false;
    // Apps have no origin, or one that says nothing. A token that was made for a page is of no use to another page.
    return binding.kind === 'app' || origin === undefined || origin === binding.origin;
  }
}

/** Apps without a browser of their own listen here for the end of a log-in. @see RFC 8252, section 7.3 */
function isThisMachine(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
