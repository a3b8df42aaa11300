/**
 * Log-in at the organisation's identity provider: OpenID Connect with the code flow, PKCE, state and nonce.
 *
 * @see OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9207 (issuer in the answer)
 */
import { timingSafeEqual } from 'node:crypto';
import * as oidc from 'openid-client';
import type { Logger } from 'pino';
import type { Identity } from './accounts.ts';
import { ExpiringMap } from '../base/expiring-map.ts';
import { IDENTITY_ANSWER_BYTES } from '../base/limits.ts';
import { hashSecret, newSecret } from './secrets.ts';

export interface OidcConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

export type LoginFailure =
  /** The identity provider does not respond, or with an error. */
  | 'unavailable'
  /** The answer belongs to no log-in that this browser has begun within the last ten minutes. */
  | 'unknown'
  /** The identity provider has let nobody in. */
  | 'refused';

export class LoginError extends Error {
  override readonly name = 'LoginError';
  readonly code: LoginFailure;

  constructor(code: LoginFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface OidcOptions extends OidcConfig {
  /** The redirect URI for the identity provider. */
  readonly callbackUrl: string;
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
}

interface Pending {
  readonly verifier: string;
  readonly nonce: string;
  readonly purpose: LoginPurpose;
  readonly browserHash: Buffer;
}

/** Time limit for a log-in, in ms. */
export const LOGIN_LIFE_MS = 10 * 60 * 1000;
const MAX_PENDING = 10_000;
const TIMEOUT_S = 10;

export class IdentityProvider {
  readonly #options: OidcOptions;
  readonly #pending: ExpiringMap<Pending>;
  #discovered: Promise<oidc.Configuration> | undefined;

  constructor(options: OidcOptions) {
    this.#options = options;
    this.#pending = new ExpiringMap({ lifeMs: LOGIN_LIFE_MS, maxSize: MAX_PENDING, now: options.now ?? Date.now });
  }

  /**
   * Begins a log-in.
   *
   * @param purpose the purpose, validated by the caller
   * @param language the language of the page (OpenID Connect Core, 3.1.2.1, `ui_locales`)
   * @throws LoginError `unavailable`
   */
  async start(purpose: LoginPurpose, language?: 'de' | 'en'): Promise<StartedLogin> {
    const configuration = await this.#configuration();
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const nonce = oidc.randomNonce();
    const browserSecret = newSecret('');
    const url = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: this.#options.callbackUrl,
      scope: 'openid profile',
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      // Sensitive operations need a new authentication; an existing session at the provider does not suffice.
      ...(purpose.kind === 'uia' || purpose.kind === 'account' ? { prompt: 'login' } : {}),
      ...(language === undefined ? {} : { ui_locales: language }),
    });
    this.#pending.set(state, { verifier, nonce, purpose, browserHash: hashSecret(browserSecret) });
    return { url, state, browserSecret };
  }

  /**
   * Finishes a log-in with the identity provider's response.
   *
   * @param query the query of the callback
   * @param browserSecret the secret from `start`, kept by this browser
   * @throws LoginError
   */
  async finish(query: URLSearchParams, browserSecret: string | undefined): Promise<FinishedLogin> {
    const state = query.get('state') ?? '';
    const pending = this.#pending.get(state);
    // Login CSRF: without this check, an attacker could give a victim the response to their own log-in, and with it
    // their own account.
    if (
      pending === undefined ||
      browserSecret === undefined ||
      !timingSafeEqual(hashSecret(browserSecret), pending.browserHash)
    ) {
      throw new LoginError('unknown', 'The response does not belong to a log-in of this browser.');
    }
    this.#pending.take(state);
    const configuration = await this.#configuration();
    const currentUrl = new URL(this.#options.callbackUrl);
    currentUrl.search = query.toString();
    try {
      const tokens = await oidc.authorizationCodeGrant(configuration, currentUrl, {
        pkceCodeVerifier: pending.verifier,
        expectedState: state,
        expectedNonce: pending.nonce,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (claims === undefined) throw new LoginError('unavailable', 'The identity provider sent no ID token.');
      const named = { ...(await this.#userInfo(configuration, tokens.access_token, claims)), ...claims };
      return {
        identity: {
          issuer: claims.iss,
          subject: claims.sub,
          preferredUsername: textOf(named['preferred_username']),
          displayName: textOf(named['name']),
        },
        purpose: pending.purpose,
      };
    } catch (error) {
      if (error instanceof oidc.AuthorizationResponseError) {
        throw new LoginError('refused', 'The identity provider has refused the log-in.', { cause: error });
      }
      if (error instanceof LoginError) throw error;
      throw new LoginError('unavailable', 'The log-in could not be completed at the identity provider.', {
        cause: error,
      });
    }
  }

  /** Depending on the provider's settings, names are in the ID token or only here. */
  async #userInfo(
    configuration: oidc.Configuration,
    accessToken: string,
    claims: oidc.IDToken,
  ): Promise<Record<string, unknown>> {
    if (claims['preferred_username'] !== undefined && claims['name'] !== undefined) return {};
    if (configuration.serverMetadata().userinfo_endpoint === undefined) return {};
    return await oidc.fetchUserInfo(configuration, accessToken, claims.sub);
  }

  /** The provider may start later than we do, or be down for a while: after a failure, the next log-in tries again. */
  async #configuration(): Promise<oidc.Configuration> {
    this.#discovered ??= this.#discover().catch((error: unknown) => {
      this.#discovered = undefined;
      this.#options.log.warn({ err: error }, 'the identity provider cannot be reached');
      throw new LoginError('unavailable', 'The identity provider cannot be reached.', { cause: error });
    });
    return this.#discovered;
  }

  async #discover(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret } = this.#options;
    const server = new URL(issuer);
    return await oidc.discovery(server, clientId, undefined, oidc.ClientSecretBasic(clientSecret), {
      timeout: TIMEOUT_S,
      execute: server.protocol === 'http:' ? [oidc.allowInsecureRequests] : [],
      [oidc.customFetch]: boundedFetch,
    });
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value.slice(0, 500) : undefined;
}

async function boundedFetch(url: string, options: oidc.CustomFetchOptions): Promise<Response> {
  const { body, status, headers } = await fetch(url, options);
  if (!body) return new Response(null, { status, headers });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body as ReadableStream<Uint8Array>) {
    bytes += chunk.length;
    // Leaving the loop closes the connection.
    if (bytes > IDENTITY_ANSWER_BYTES) throw new Error('The response of the identity provider is too long.');
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status, headers });
}
