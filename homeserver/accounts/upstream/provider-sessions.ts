/** What we ask the identity provider about sessions that it has let in. */
import * as oidc from 'openid-client';
import type { Identity } from '../accounts.ts';
import { LoginError } from '../login-error.ts';
import { boundedFetch } from '../provider-connection.ts';
import type { ProviderConnection } from '../provider-connection.ts';
import { LogoutTokenError, verifyLogoutToken } from './logout-token.ts';
import type { LogoutClaims } from './logout-token.ts';
import type { JwtRules } from './jwt.ts';
import { ServiceTokenError, verifyServiceToken } from './service-token.ts';
import type { UpstreamSession } from './store.ts';

/** What the provider says about a session that it has let in before. */
export type Refreshed =
  | {
      readonly kind: 'good';
      /** Not every provider gives a new one. @see OpenID Connect Core 1.0, section 12.2 */
      readonly idToken: string | undefined;
      readonly refreshToken: string;
      /** Who it is now; undefined when the provider did not say. */
      readonly identity: Identity | undefined;
    }
  /**
   * The person is disabled, removed or logged out. Unless it is proven, the provider may as well have lost what it knew:
   * it does not know the session.
   */
  | { readonly kind: 'ended'; readonly reason: string; readonly proven: boolean }
  /** It has answered, but nothing that decides. */
  | { readonly kind: 'odd'; readonly error: unknown }
  | { readonly kind: 'unavailable' };

const END_PATIENCE_MS = 10_000;
/** What Keycloak says of somebody whom it knows. */
const PROVEN = new Set(['User disabled']);

export class ProviderSessions {
  readonly #connection: ProviderConnection;
  readonly #now: () => number;

  /** @param now the clock, Unix ms */
  constructor(connection: ProviderConnection, now: () => number) {
    this.#connection = connection;
    this.#now = now;
  }

  /** Asks whether it answers now. Never throws. */
  isThere(): Promise<boolean> {
    return this.#connection.isThere();
  }

  /** It has answered nothing of what it was asked. */
  noteAway(): void {
    this.#connection.noteAnswer(false);
  }

  /**
   * Asks whether a session that was let in before still is, and who it is now. Never throws.
   *
   * @param subject whom it is expected to be of
   */
  async refresh(refreshToken: string, subject: string): Promise<Refreshed> {
    try {
      const configuration = await this.#connection.configuration();
      const tokens = await oidc.refreshTokenGrant(configuration, refreshToken);
      this.#connection.noteAnswer(true);
      const claims = tokens.claims();
      if (claims !== undefined && claims.sub !== subject) {
        return { kind: 'odd', error: new Error('The ID token is of somebody else.') };
      }
      // The token that we had may be spent: what fails from here on must not lose the new one.
      const identity = claims && (await this.#identity(configuration, tokens.access_token, claims));
      return { kind: 'good', idToken: tokens.id_token, refreshToken: tokens.refresh_token ?? refreshToken, identity };
    } catch (error) {
      return this.#failedRefresh(error);
    }
  }

  async #identity(...asked: Parameters<ProviderConnection['identity']>): Promise<Identity | undefined> {
    try {
      return await this.#connection.identity(...asked);
    } catch {
      return undefined;
    }
  }

  #failedRefresh(error: unknown): Refreshed {
    if (error instanceof oidc.ResponseBodyError && error.status < 500) {
      this.#connection.noteAnswer(true);
      // RFC 6749, section 5.2: the token, or what it stands for, is not good any more. All else is no matter of it.
      if (error.error !== 'invalid_grant') return { kind: 'odd', error };
      const reason = error.error_description ?? error.error;
      return { kind: 'ended', reason, proven: PROVEN.has(reason) };
    }
    this.#connection.noteAnswer(false);
    return { kind: 'unavailable' };
  }

  /**
   * Ends a session there, as far as the provider lets us without the browser of the person.
   *
   * @see OpenID Connect RP-Initiated Logout 1.0
   * @throws LoginError `unavailable`, or the error of the network
   */
  async endSession({ idToken, refreshToken }: Pick<UpstreamSession, 'idToken' | 'refreshToken'>): Promise<void> {
    const configuration = await this.#connection.configuration();
    const { end_session_endpoint: endpoint } = configuration.serverMetadata();
    if (endpoint !== undefined) {
      const url = oidc.buildEndSessionUrl(configuration, { id_token_hint: idToken });
      const signal = AbortSignal.timeout(END_PATIENCE_MS);
      // What it would show to the person is of no use here.
      await boundedFetch(url.href, { redirect: 'manual', signal });
    }
    await this.revoke({ refreshToken });
  }

  /** Gives a token back that is not needed any more. @see RFC 7009 */
  async revoke({ refreshToken }: Pick<UpstreamSession, 'refreshToken'>): Promise<void> {
    const configuration = await this.#connection.configuration();
    if (configuration.serverMetadata().revocation_endpoint === undefined || refreshToken === undefined) return;
    await oidc.tokenRevocation(configuration, refreshToken, { token_type_hint: 'refresh_token' });
  }

  /**
   * Checks a logout token of the provider.
   *
   * @throws LogoutTokenError when it proves nothing; LoginError `unavailable` when the keys cannot be had
   */
  async verifyLogoutToken(token: string): Promise<LogoutClaims> {
    return await this.#withKeys((rules) => verifyLogoutToken(token, rules));
  }

  /**
   * Checks the token of a service.
   *
   * @throws ServiceTokenError when it does not let it in; LoginError `unavailable` when the keys cannot be had, or
   *   `refused` when the provider does not say whom it means
   */
  async verifyServiceToken(token: string): Promise<Identity> {
    const names = this.#connection.claimNames;
    return await this.#withKeys((rules) => verifyServiceToken(token, { ...rules, names }));
  }

  async #withKeys<T>(verify: (rules: JwtRules) => Promise<T>): Promise<T> {
    const { clientId } = this.#connection;
    const configuration = await this.#connection.configuration();
    const { issuer } = configuration.serverMetadata();
    try {
      return await verify({ issuer, clientId, keys: this.#connection.keys(configuration), now: this.#now });
    } catch (error) {
      if (error instanceof LogoutTokenError || error instanceof ServiceTokenError || error instanceof LoginError) {
        throw error;
      }
      throw new LoginError('unavailable', 'The keys of the identity provider cannot be had.', { cause: error });
    }
  }
}
