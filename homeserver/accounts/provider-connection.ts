/**
 * The way to the organisation's identity provider: what it says of itself, whether it answers, who somebody is by its
 * claims.
 *
 * @see OpenID Connect Discovery 1.0
 */
import { createRemoteJWKSet, customFetch } from 'jose';
import type { JWTVerifyGetKey } from 'jose';
import * as oidc from 'openid-client';
import type { Logger } from 'pino';
import { IDENTITY_ANSWER_BYTES } from '../base/limits.ts';
import type { Identity } from './accounts.ts';
import { LoginError } from './login-error.ts';
import { CLAIM_NAMES, identityOf, merged } from './upstream/claims.ts';
import type { ClaimNames } from './upstream/claims.ts';

export interface OidcConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** What its claims are called; default: as in OpenTalk's realm. */
  readonly claims?: ClaimNames;
}

export interface ConnectionOptions extends OidcConfig {
  readonly log: Logger;
}

/** An answer takes at most this long, in s. */
const TIMEOUT_S = 10;
const KEYS_PAUSE_MS = 30_000;

export class ProviderConnection {
  readonly #options: ConnectionOptions;
  #discovered: Promise<oidc.Configuration> | undefined;
  #keys: JWTVerifyGetKey | undefined;
  #isUp = true;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get clientId(): string {
    return this.#options.clientId;
  }

  get claimNames(): ClaimNames {
    return this.#options.claims ?? CLAIM_NAMES;
  }

  /** Whether it has answered when it was asked last. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Notes whether it has answered. */
  noteAnswer(isUp: boolean): void {
    this.#isUp = isUp;
  }

  /** Asks whether it answers now. Never throws. */
  async isThere(): Promise<boolean> {
    try {
      await this.#discover();
      this.#isUp = true;
    } catch {
      this.#isUp = false;
    }
    return this.#isUp;
  }

  /** The provider may start later than we do, or be down for a while: after a failure, the next log-in tries again. */
  async configuration(): Promise<oidc.Configuration> {
    this.#discovered ??= this.#discover().catch((error: unknown) => {
      this.#discovered = undefined;
      this.#isUp = false;
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

  /**
   * The keys of its tokens. They are asked for again when a token names an unknown one, but not more often than every
   * half minute.
   *
   * @throws Error when it says nothing of its keys
   */
  keys(configuration: oidc.Configuration): JWTVerifyGetKey {
    const { jwks_uri: address } = configuration.serverMetadata();
    if (address === undefined) throw new Error('The identity provider says nothing of its keys.');
    return (this.#keys ??= createRemoteJWKSet(new URL(address), {
      timeoutDuration: TIMEOUT_S * 1000,
      cooldownDuration: KEYS_PAUSE_MS,
      [customFetch]: (url, options) => boundedFetch(url, options),
    }));
  }

  /** Who somebody is. Claims stand in the ID token or at another address, by the provider's settings. */
  async identity(configuration: oidc.Configuration, accessToken: string, claims: oidc.IDToken): Promise<Identity> {
    const names = this.claimNames;
    if (configuration.serverMetadata().userinfo_endpoint === undefined) return identityOf(claims, names);
    const others = await oidc.fetchUserInfo(configuration, accessToken, claims.sub);
    return identityOf(merged(claims, others, names), names);
  }
}

/** `fetch`, but an answer that is too long is an error. */
export async function boundedFetch(url: string, options: RequestInit): Promise<Response> {
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
