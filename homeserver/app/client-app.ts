/** The HTTP server for clients: the Matrix client-server API, our own API and the web client. */
import express from 'express';
import type { Express, Request, RequestHandler, Router } from 'express';
import type { Provider as OauthProvider } from 'oidc-provider';
import type { Logger } from 'pino';
import { DEPTH } from '../../federation/json.ts';
import type { Accounts } from '../accounts/accounts.ts';
import type { Askers } from '../accounts/askers.ts';
import type { LoginTokens } from '../accounts/login-tokens.ts';
import type { IdentityProvider } from '../accounts/oidc.ts';
import { bearerToken } from '../accounts/require-session.ts';
import type { ServerNotices } from '../accounts/server-notices.ts';
import type { Sessions } from '../accounts/sessions.ts';
import type { PasswordLogin } from '../accounts/password-login.ts';
import type { Uia } from '../accounts/uia.ts';
import { accountPageRouter, AccountVisits } from '../accounts/oauth/account-page-router.ts';
import { accountRouter, loginTokenRouter, whoisRouter } from '../accounts/account-router.ts';
import type { AccountRouterOptions } from '../accounts/account-router.ts';
import { capabilitiesRouter } from './capabilities.ts';
import type { CapabilitiesRouterOptions } from './capabilities.ts';
import { devicesRouter } from '../accounts/devices-router.ts';
import { frontDoor } from './front-door.ts';
import { filterRouter } from '../accounts/filter-router.ts';
import type { Filters } from '../accounts/filters.ts';
import { loginRouter } from '../accounts/login-router.ts';
import type { GuestAccess } from '../accounts/guest-access.ts';
import { OauthLogins, oauthRouter } from '../accounts/oauth/router.ts';
import { profileRouter } from '../accounts/profile-router.ts';
import type { ProfileRouterOptions } from '../accounts/profile-router.ts';
import { registerRouter, sharedSecretRouter } from '../accounts/register-router.ts';
import { serverNoticesGuard, serverNoticesRouter } from '../accounts/server-notices-router.ts';
import { restrictionsRouter } from '../accounts/restrictions-router.ts';
import { servicesRouter } from '../accounts/services-router.ts';
import type { ServicesRouterOptions } from '../accounts/services-router.ts';
import type { ShortLived } from '../accounts/short-lived.ts';
import { organisationRouter } from '../accounts/tenants/organisation-router.ts';
import type { OrganisationRouterOptions } from '../accounts/tenants/organisation-router.ts';
import { browserLogin, ssoRouter } from '../accounts/sso-router.ts';
import { backChannelRouter } from '../accounts/upstream/back-channel-router.ts';
import type { Services } from '../accounts/upstream/services.ts';
import type { Upstream } from '../accounts/upstream/upstream.ts';
import type { PasswordConfig } from '../accounts/passwords.ts';
import { errorHandler, MatrixError, unknownPath } from '../base/errors.ts';
import { allowAnyOrigin, bodyLength, jsonBody, plainJson, requestLog, securityHeaders } from '../base/http.ts';
import { ANONYMOUS_BODY_BYTES, CLIENT_BODY_BYTES } from '../base/limits.ts';
import type { RateLimits } from '../base/rate-limits.ts';
import type { Features } from './features.ts';

export interface ClientAppOptions
  extends
    Pick<CapabilitiesRouterOptions, 'info' | 'wellKnown' | 'databaseUp' | 'sfuUp' | 'ownStatement' | 'trust'>,
    Pick<ProfileRouterOptions, 'profiles' | 'remoteProfile' | 'visibility'>,
    Pick<OrganisationRouterOptions, 'tenants'>,
    Pick<AccountRouterOptions, 'leaveRooms'>,
    Pick<ServicesRouterOptions, 'openIdTokens'> {
  readonly publicUrl: string;
  /** IP addresses of reverse proxies whose `X-Forwarded-For` is trusted. */
  readonly proxies: readonly string[];
  readonly accounts: Accounts;
  readonly filters: Filters;
  readonly sessions: Sessions;
  /** Absent if every requester may cause requests to other servers. */
  readonly askers?: Askers;
  readonly loginTokens: LoginTokens;
  readonly shortLived: ShortLived;
  readonly passwordLogin: PasswordLogin;
  readonly passwords: PasswordConfig;
  readonly uia: Uia;
  readonly guestAccess?: GuestAccess;
  /** Server notices. */
  readonly notices?: ServerNotices;
  /** The OAuth 2.0 API, if users can log in. */
  readonly oauth?: () => Promise<OauthProvider>;
  /** Absent without SSO. */
  readonly provider?: IdentityProvider;
  /** How sessions follow it. */
  readonly upstream?: Upstream;
  /** Services that log in by it. */
  readonly services?: Services;
  readonly requireSession: RequestHandler;
  readonly limits: RateLimits;
  /** Middleware before all others. */
  readonly measure?: RequestHandler;
  readonly features?: Pick<Features, 'client' | 'matrix' | 'admin'>;
  /** The federation API, so that one port is enough behind a reverse proxy. */
  readonly federation?: Router;
  /** Router at `/_hansetag/client/v1`. */
  readonly meetings?: Router;
  /** Handles all paths outside of the APIs. */
  readonly webClient?: RequestHandler;
  readonly log: Logger;
}

export function clientApp(options: ClientAppOptions): Express {
  const { publicUrl, requireSession, limits, log } = options;
  const { serverName } = options.info.organisation;
  const own = { ...options, serverName, sso: options.provider !== undefined, limitLogin: limits.login };
  const app = express();
  app.disable('x-powered-by');
  // API responses are not cached, so computing ETags is useless.
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.set('trust proxy', [...options.proxies]);

  if (options.measure) app.use(options.measure);
  app.use(plainJson, requestLog(log), securityHeaders(publicUrl));
  if (options.federation) app.use(options.federation);
  app.use(['/_matrix', '/_synapse', '/.well-known/matrix'], allowAnyOrigin);
  if (options.upstream) app.use(backChannelRouter({ upstream: options.upstream, unproven: limits.backChannel, log }));
  const oauthLogins = new OauthLogins(options.shortLived);
  const visits = new AccountVisits(publicUrl);
  if (options.oauth) {
    const { provider } = options;
    const begin = provider && browserLogin({ publicUrl, provider });
    app.use(
      accountPageRouter({
        ...own,
        passwords: options.passwords.login,
        visits,
        ...(begin
          ? {
              logInAtOrganisation: (request, response, query) => begin(request, response, { kind: 'account', query }),
            }
          : {}),
      }),
      oauthRouter({
        ...own,
        provider: options.oauth,
        passwords: options.passwords.login,
        logins: oauthLogins,
        ...(begin
          ? {
              logInAtOrganisation: (request, response, interaction) =>
                begin(request, response, { kind: 'oauth', interaction }),
            }
          : {}),
      }),
    );
  }
  app.use(['/_matrix', '/_synapse', '/_hansetag'], frontDoor(options), bodies(options.sessions));
  app.use(capabilitiesRouter(options), organisationRouter(options));
  if (options.provider && options.upstream) {
    app.use(ssoRouter({ ...own, provider: options.provider, upstream: options.upstream, oauthLogins, visits }));
  }
  const { adminSecret } = options.passwords;
  if (adminSecret !== undefined) app.use(sharedSecretRouter({ ...own, secret: adminSecret }));
  if (options.notices) app.use(serverNoticesRouter({ notices: options.notices, requireSession }));
  const versioned = [
    loginRouter(own),
    registerRouter(own),
    accountRouter(own),
    devicesRouter(own),
    whoisRouter(own),
    servicesRouter(own),
    profileRouter({ ...own, limitAnonymous: limits.anonymous }),
    filterRouter({ filters: options.filters, requireSession }),
    ...(options.guestAccess ? [options.guestAccess.guard()] : []),
    ...(options.notices ? [serverNoticesGuard({ notices: options.notices, requireSession })] : []),
    ...(options.features?.client ?? []),
  ];
  app.use(['/_matrix/client/v3', '/_matrix/client/r0'], ...versioned);
  app.use('/_matrix', loginTokenRouter(own), restrictionsRouter(own), ...(options.features?.matrix ?? []));
  // At the paths of Synapse too, where older clients look for them.
  app.use(['/_matrix/client/unstable', '/_matrix/client/api/v1'], ...versioned);
  if (options.features) app.use('/_synapse/admin', ...options.features.admin);
  if (options.meetings) app.use('/_hansetag/client/v1', options.meetings);
  app.use(['/_matrix', '/_synapse', '/_hansetag', '/.well-known'], unknownPath);
  if (options.webClient) app.use(options.webClient);
  app.use(unknownPath, errorHandler(log));
  return app;
}

const UNSIGNED = /\/user\/[^/]+\/(rooms\/[^/]+\/)?(account_data|tags)\/|\/(sendToDevice|profile)\/[^/]+\//;

/** Paths whose handlers read the body themselves: the media repository. */
const READS_ITSELF = /^\/_matrix\/media\//;

/** Reads JSON bodies. Long ones are only read of authenticated users. */
function bodies(sessions: Sessions): RequestHandler {
  const read = jsonBody(async (request) => {
    const isLong = bodyLength(request) > ANONYMOUS_BODY_BYTES;
    return {
      limit: isLong && (await isLoggedIn(request, sessions)) ? CLIENT_BODY_BYTES : ANONYMOUS_BODY_BYTES,
      maxDepth: DEPTH.written,
      // Bodies that are not part of an event may have any numbers: the `order` of tags is a fraction.
      anyNumbers: UNSIGNED.test(request.path),
    };
  });
  return (request, response, next) => (READS_ITSELF.test(request.originalUrl) ? next() : read(request, response, next));
}

async function isLoggedIn(request: Request, sessions: Sessions): Promise<boolean> {
  try {
    await sessions.authenticate(bearerToken(request), {}, true);
    return true;
  } catch (error) {
    if (error instanceof MatrixError) return false;
    throw error;
  }
}
