/**
 * Log-in at the organisation's identity provider: OpenID Connect with the code flow, PKCE, state and nonce.
 *
 * @see OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9207 (issuer in the answer)
 */
import { timingSafeEqual } from 'node:crypto';
import * as oidc from 'openid-client';
import type { Logger } from 'pino';
import type { Identity } from './accounts.ts';
import { LoginError } from './login-error.ts';
import { ProviderConnection } from './provider-connection.ts';
import type { OidcConfig } from './provider-connection.ts';
import { hashSecret, newSecret } from './secrets.ts';
import type { ShortLived, ShortLivedValues } from './short-lived.ts';
import { CLOCK_TOLERANCE_S, sessionIdSchema } from './upstream/jwt.ts';
import type { UpstreamGrant } from './upstream/store.ts';

export interface OidcOptions extends OidcConfig {
  /** The redirect URI for the identity provider. */
  readonly callbackUrl: string;
  readonly shortLived: ShortLived;
  readonly log: Logger;
  /** The clock, Unix ms. */
  readonly now?: () => number;
}

/** The purpose of a log-in. */
export type LoginPurpose =
  /** A session for a client, which gets a login token at this URL. */
  | { readonly kind: 'client'; readonly redirectUrl: string }
  /** To confirm something grave in a session of user-interactive authentication. */
  | { readonly kind: 'uia'; readonly session: string }
  /** A client that asks for access by OAuth 2.0. */
  | { readonly kind: 'oauth'; readonly interaction: string }
  /** The page on which people look after their account, with its query. */
  | { readonly kind: 'account'; readonly query: string };

/** A log-in in progress. */
export interface StartedLogin {
  /** Where to send the browser. */
  readonly url: URL;
  readonly state: string;
  /** To be kept by this browser only, and passed to `finish`. */
  readonly browserSecret: string;
}

export interface FinishedLogin {
  readonly identity: Identity;
  readonly purpose: LoginPurpose;
  /** By which the session here follows the one there. */
  readonly grant: UpstreamGrant;
}

interface Pending {
  readonly verifier: string;
  readonly nonce: string;
  readonly purpose: LoginPurpose;
  readonly browserHash: string;
  /** Unix ms by the clock of the machine, as the provider says its times by that of its own. */
  readonly startedAt: number;
  /** Who has logged in, when all that is still asked for is a token that outlives the session of the browser. */
  readonly known?: FinishedLogin;
}

/** Time limit for a log-in, in ms. */
export const LOGIN_LIFE_MS = 10 * 60 * 1000;

export class IdentityProvider {
  readonly #options: OidcOptions;
  readonly #pending: ShortLivedValues<Pending>;
  readonly #now: () => number;
  readonly connection: ProviderConnection;

  constructor(options: OidcOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.connection = new ProviderConnection(options);
    this.#pending = options.shortLived.of('log-in', LOGIN_LIFE_MS);
  }

  /** Whether it has answered when it was asked last. */
  get isUp(): boolean {
    return this.connection.isUp;
  }

  /**
   * Begins a log-in.
   *
   * @param purpose the purpose, validated by the caller
   * @param language the language of the page (OpenID Connect Core, 3.1.2.1, `ui_locales`)
   * @throws LoginError `unavailable`
   */
  async start(purpose: LoginPurpose, language?: 'de' | 'en'): Promise<StartedLogin> {
    // Who is sent to a provider that is away sees a page that says nothing to them.
    if (!this.isUp && !(await this.connection.isThere())) {
      throw new LoginError('unavailable', 'The identity provider cannot be reached.');
    }
    const configuration = await this.connection.configuration();
    return this.#begin(configuration, {
      purpose,
      scope: scopeOf(configuration),
      // Sensitive operations need a new authentication; an existing session at the provider does not suffice.
      // Whoever holds the browser can take this out of the address: `finish` looks when they have done it.
      ...(isGrave(purpose) ? { prompt: 'login', max_age: '0' } : {}),
      ...(language === undefined ? {} : { ui_locales: language }),
    });
  }

  async #begin(
    configuration: oidc.Configuration,
    asked: {
      readonly purpose: LoginPurpose;
      readonly known?: FinishedLogin;
      readonly scope: string;
      readonly prompt?: string;
      readonly max_age?: string;
      readonly ui_locales?: string;
    },
  ): Promise<StartedLogin> {
    const { purpose, known, ...parameters } = asked;
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const nonce = oidc.randomNonce();
    const browserSecret = newSecret('');
    const url = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: this.#options.callbackUrl,
      ...parameters,
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const browserHash = hashSecret(browserSecret).toString('base64');
    await this.#pending.set(state, {
      verifier,
      nonce,
      purpose,
      browserHash,
      startedAt: Date.now(),
      ...(known ? { known } : {}),
    });
    return { url, state, browserSecret };
  }

  /**
   * Finishes a log-in with the identity provider's answer, or sends the browser there once more without a question: a
   * token that outlives the session of the browser is asked for when that session is in use, so that Keycloak keeps it
   * for single sign-on.
   *
   * @param query the query of the callback
   * @param browserSecret the secret from `start`, kept by this browser
   * @throws LoginError
   */
  async finish(query: URLSearchParams, browserSecret: string | undefined): Promise<FinishedLogin | StartedLogin> {
    const state = query.get('state') ?? '';
    const pending = await this.#pending.get(state);
    // Login CSRF: without this check, an attacker could give a victim the response to their own log-in, and with it
    // their own account.
    if (
      pending === undefined ||
      browserSecret === undefined ||
      !timingSafeEqual(hashSecret(browserSecret), Buffer.from(pending.browserHash, 'base64')) ||
      // Two answers may come at the same time.
      (await this.#pending.take(state)) === undefined
    ) {
      throw new LoginError('unknown', 'The response does not belong to a log-in of this browser.');
    }
    const configuration = await this.connection.configuration();
    const { purpose, known } = pending;
    try {
      const finished = await this.#exchange(configuration, query, pending);
      if (known === undefined && !isGrave(purpose) && givesOffline(configuration)) {
        const scope = `${scopeOf(configuration)} offline_access`;
        return await this.#begin(configuration, { purpose, known: finished, scope, prompt: 'none' });
      }
      if (known !== undefined && known.identity.subject !== finished.identity.subject) {
        throw new LoginError('refused', 'Somebody else has logged in meanwhile.');
      }
      return finished;
    } catch (error) {
      if (error instanceof LoginError) throw error;
      // Who has logged in is known: without the other token the session is checked by that of the browser's.
      if (known !== undefined) return known;
      if (error instanceof oidc.AuthorizationResponseError) {
        throw new LoginError('refused', 'The identity provider has refused the log-in.', { cause: error });
      }
      throw new LoginError('unavailable', 'The log-in could not be completed at the identity provider.', {
        cause: error,
      });
    }
  }

  async #exchange(configuration: oidc.Configuration, query: URLSearchParams, pending: Pending): Promise<FinishedLogin> {
    // Before anything is asked: what the provider ends meanwhile has ended after it.
    const at = this.#now();
    const currentUrl = new URL(this.#options.callbackUrl);
    currentUrl.search = query.toString();
    const tokens = await oidc.authorizationCodeGrant(configuration, currentUrl, {
      pkceCodeVerifier: pending.verifier,
      expectedState: query.get('state') ?? '',
      expectedNonce: pending.nonce,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (claims === undefined) throw new LoginError('unavailable', 'The identity provider sent no ID token.');
    if (isGrave(pending.purpose)) requireFresh(claims, pending.startedAt);
    return {
      identity: await this.connection.identity(configuration, tokens.access_token, claims),
      grant: {
        issuer: claims.iss,
        subject: claims.sub,
        sid: sessionIdSchema.safeParse(claims['sid']).data,
        idToken: tokens.id_token ?? '',
        refreshToken: tokens.refresh_token,
        at,
      },
      purpose: pending.purpose,
    };
  }
}

/** Whether the purpose demands that somebody proves now who they are. */
function isGrave({ kind }: LoginPurpose): boolean {
  return kind === 'uia' || kind === 'account';
}

/** What we ask to know: name and mail address, where the provider has a scope for that. Others refuse a scope they do not know. */
function scopeOf(configuration: oidc.Configuration): string {
  const { scopes_supported: supported } = configuration.serverMetadata();
  return supported?.includes('email') === true ? 'openid profile email' : 'openid profile';
}

/** Whether the provider gives tokens that outlive the session of the browser. */
function givesOffline(configuration: oidc.Configuration): boolean {
  return configuration.serverMetadata().scopes_supported?.includes('offline_access') === true;
}

/** @throws LoginError when somebody was let in for what they have proven before, or when nobody can have proven it yet */
function requireFresh({ auth_time: provenAt }: oidc.IDToken, startedAt: number): void {
  const earliest = startedAt / 1000 - CLOCK_TOLERANCE_S;
  const latest = Date.now() / 1000 + CLOCK_TOLERANCE_S;
  if (typeof provenAt !== 'number' || provenAt < earliest || provenAt > latest) {
    throw new LoginError('refused', 'The identity provider has not asked again who it is.');
  }
}
