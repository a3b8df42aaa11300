/** Puts accounts, sessions and the ways to log in together. */
import type { RequestHandler } from 'express';
import type { Provider as OauthProvider } from 'oidc-provider';
import type { Logger } from 'pino';
import { every } from '../base/every.ts';
import { lazy } from '../base/lazy.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { Legal } from '../../protocol/client-api.ts';
import type { Database } from '../database/database.ts';
import type { Visibility } from '../engine/visibility.ts';
import { Accounts } from './accounts.ts';
import { Filters } from './filters.ts';
import { LoginTokens } from './login-tokens.ts';
import { ACCOUNT_PATH } from './oauth/account-page-router.ts';
import { OAUTH_PATH } from './oauth/router.ts';
import { cleanUpOauth } from './oauth/store.ts';
import { IdentityProvider } from './oidc.ts';
import type { OidcConfig } from './provider-connection.ts';
import { OpenIdTokens } from './openid-tokens.ts';
import { PasswordLogin } from './password-login.ts';
import { Passwords } from './passwords.ts';
import type { PasswordConfig } from './passwords.ts';
import { Profiles } from './profiles.ts';
import { requireSession } from './require-session.ts';
import { Sessions } from './sessions.ts';
import { ShortLived } from './short-lived.ts';
import { CALLBACK_PATH } from './sso-router.ts';
import { Standing } from './standing.ts';
import { makeTenants } from './tenants/index.ts';
import type { TenantsConfig } from './tenants/index.ts';
import type { Tenants } from './tenants/tenants.ts';
import { Uia } from './uia.ts';
import { makeUpstream } from './upstream/index.ts';
import { loadSeal } from './seal.ts';
import type { Seal } from './seal.ts';
import type { Services } from './upstream/services.ts';
import type { Upstream } from './upstream/upstream.ts';
import type { UiaRequest } from './uia.ts';

export interface AccountsDeps {
  readonly serverName: string;
  /** Name, colour and pages of the organisation that runs the instance. */
  readonly organisation: string;
  readonly colour: string;
  readonly legal: Legal;
  /** URL of the web client, without trailing slash. */
  readonly publicUrl: string;
  readonly db: Database;
  readonly passwords: PasswordConfig;
  /** The organisation's identity provider, if any. */
  readonly oidc: OidcConfig | undefined;
  /** File with the key by which is encrypted what the identity provider entrusts to us; made when it is missing. */
  readonly sessionKeyFile: string;
  /** Life of an access token that can be refreshed, in ms. */
  readonly accessTokenLifeMs: number;
  readonly rateLimitFactor: number;
  readonly tenancy: TenantsConfig | undefined;
  readonly log: Logger;
}

export interface AccountsFeature {
  readonly accounts: Accounts;
  readonly filters: Filters;
  readonly sessions: Sessions;
  readonly standing: Standing;
  readonly tenants: Tenants;
  /** Who may know of whom: the same. */
  readonly visibility: Visibility;
  readonly profiles: Profiles;
  readonly passwordLogin: PasswordLogin;
  readonly uia: Uia;
  readonly loginTokens: LoginTokens;
  readonly shortLived: ShortLived;
  /** Encrypts what is kept of secrets. */
  readonly seal: Seal;
  readonly openIdTokens: OpenIdTokens;
  /** Requires an access token. */
  readonly requireSession: RequestHandler;
  /** Display name and avatar of a local user, as in membership events: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly userExists: (userId: string) => Promise<boolean>;
  /** Whether a user is a local guest. */
  readonly isGuest: (userId: string) => Promise<boolean>;
  /** Whether a local user is suspended. */
  readonly isSuspended: (userId: string) => Promise<boolean>;
  /** The JSON text of a stored filter. */
  readonly storedFilter: (userId: string, filterId: string) => Promise<string | undefined>;
  /** Re-authenticates a user. */
  readonly confirm: (userId: string, request: UiaRequest) => Promise<void>;
  /** The OAuth 2.0 API, if users can log in. */
  readonly oauth?: () => Promise<OauthProvider>;
  readonly provider?: IdentityProvider;
  /** How sessions follow the identity provider. */
  readonly upstream?: Upstream;
  /** Services that log in by credentials of their own. */
  readonly services?: Services;
  close(): void;
}

const CLEAN_UP_MS = 10 * 60 * 1000;

export async function makeAccounts(deps: AccountsDeps): Promise<AccountsFeature> {
  const { serverName, publicUrl, db, passwords, oidc, accessTokenLifeMs, rateLimitFactor, log } = deps;
  const accounts = new Accounts(db, serverName);
  const sessions = new Sessions(db, accounts, Date.now, accessTokenLifeMs);
  const passwordLogin = new PasswordLogin({ accounts, passwords: new Passwords(passwords.cost), rateLimitFactor });
  const hasOauth = oidc !== undefined || passwords.login;
  // Loading it blocks for a third of a second: do it now, not for the first request.
  const oauth = hasOauth ? await import('./oauth/provider.ts') : undefined;
  const issuer = publicUrl + OAUTH_PATH;
  const seal = await loadSeal(deps.sessionKeyFile);
  const shortLived = new ShortLived({ db, seal });
  const cleaning = every(
    CLEAN_UP_MS,
    async () => {
      await shortLived.cleanUp();
      await cleanUpOauth(db);
    },
    log,
    'expired data of log-ins was not removed',
  );
  const filters = new Filters(db, accounts);
  const standing = new Standing(accounts);
  const tenants = await makeTenants(deps, deps.tenancy);
  const profiles = new Profiles(db, accounts);
  const provider = oidc && new IdentityProvider({ ...oidc, callbackUrl: publicUrl + CALLBACK_PATH, shortLived, log });
  const made =
    provider &&
    makeUpstream({
      db,
      accounts,
      profiles,
      sessions,
      tenants,
      provider,
      seal,
      shortLived,
      checkMs: accessTokenLifeMs,
      log,
    });
  const { upstream, services } = made ?? {};
  upstream?.start();
  services?.start();
  const uia = new Uia({
    accounts,
    passwordLogin,
    passwords: passwords.login,
    sso: oidc !== undefined,
    accountUrl: publicUrl + ACCOUNT_PATH,
  });
  return {
    accounts,
    filters,
    sessions,
    standing,
    tenants,
    visibility: tenants,
    profiles,
    passwordLogin,
    uia,
    profile: (userId) => profiles.membership(userId),
    userExists: (userId) => accounts.exists(userId),
    isGuest: (userId) => standing.isGuest(userId),
    isSuspended: (userId) => standing.isSuspended(userId),
    storedFilter: (userId, filterId) => filters.get(userId, filterId),
    confirm: (userId, request) => uia.confirm(userId, request),
    loginTokens: new LoginTokens(shortLived, publicUrl),
    shortLived,
    seal,
    openIdTokens: new OpenIdTokens(db, accounts),
    requireSession: requireSession(sessions),
    ...(oauth
      ? {
          oauth: lazy(() =>
            oauth.oauthProvider({
              db,
              accounts,
              sessions,
              upstream,
              issuer,
              cookieKey: seal.secretFor('cookies of the OAuth 2.0 API'),
              accessLifeMs: accessTokenLifeMs,
              log,
            }),
          ),
        }
      : {}),
    ...(provider ? { provider } : {}),
    ...(upstream ? { upstream } : {}),
    ...(services ? { services } : {}),
    close: () => {
      cleaning();
      upstream?.close();
      services?.close();
    },
  };
}
