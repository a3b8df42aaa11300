/** SSO log-in: to the identity provider, and back to the client with a login token. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import type { Logger } from 'pino';
import type { Accounts } from './accounts.ts';
import { cookie } from '../base/cookies.ts';
import type { LoginTokens } from './login-tokens.ts';
import { LoginError } from './login-error.ts';
import { sendTokenCookie } from './token-cookie.ts';
import { LOGIN_LIFE_MS } from './oidc.ts';
import type { FinishedLogin, IdentityProvider, LoginPurpose, StartedLogin } from './oidc.ts';
import { sendConfirmationPage, sendDonePage, sendFailurePage, sendGravePage } from './pages.ts';
import { newSecret } from './secrets.ts';
import type { Uia } from './uia.ts';
import type { Upstream } from './upstream/upstream.ts';
import { methods, MatrixError } from '../base/errors.ts';
import type { AccountVisits } from './oauth/account-page-router.ts';
import type { OauthLogins } from './oauth/router.ts';
import { queryText } from '../base/parse.ts';

/** Path of the redirect URI for the identity provider, below the public URL. */
export const CALLBACK_PATH = '/_hansetag/client/v1/login/callback';

export interface SsoRouterOptions {
  readonly publicUrl: string;
  readonly accounts: Accounts;
  readonly provider: IdentityProvider;
  readonly loginTokens: LoginTokens;
  readonly upstream: Pick<Upstream, 'logIn'>;
  readonly uia: Uia;
  readonly oauthLogins: OauthLogins;
  readonly visits: AccountVisits;
  readonly limitLogin: RequestHandler;
  readonly log: Logger;
}

const CONFIRM_COOKIE = 'hansetag_confirm';
const MAX_REDIRECT_URL = 2048;

/** Sends a browser to the identity provider, which sends it back to `CALLBACK_PATH`. */
export function browserLogin(
  options: Pick<SsoRouterOptions, 'publicUrl' | 'provider'>,
): (request: Request, response: Response, purpose: LoginPurpose) => Promise<void> {
  return async (request, response, purpose) => {
    response.set('Cache-Control', 'no-store');
    try {
      const started = await options.provider.start(purpose, languageOf(purpose, options.publicUrl));
      sendOn(options, response, started);
    } catch (error) {
      if (!(error instanceof LoginError)) throw error;
      sendFailurePage(request, response, error.code);
    }
  };
}

/** The web client has a path for each language: users who come from there continue in that language. */
function languageOf(purpose: LoginPurpose, publicUrl: string): 'de' | 'en' | undefined {
  if (purpose.kind !== 'client' || !URL.canParse(purpose.redirectUrl)) return undefined;
  const { origin, pathname } = new URL(purpose.redirectUrl);
  if (origin !== new URL(publicUrl).origin) return undefined;
  if (pathname.startsWith('/de/')) return 'de';
  return pathname.startsWith('/en/') ? 'en' : undefined;
}

/** Sends a browser to the identity provider. */
function sendOn(
  options: Pick<SsoRouterOptions, 'publicUrl'>,
  response: Response,
  { url, state, browserSecret }: StartedLogin,
): void {
  setCookie(options, response, state, browserSecret, LOGIN_LIFE_MS);
  response.redirect(302, url.href);
}

function setCookie(
  { publicUrl }: Pick<SsoRouterOptions, 'publicUrl'>,
  response: Response,
  state: string,
  secret: string,
  lifeMs: number,
): void {
  // Each log-in has its own cookie, so that two tabs do not interfere.
  response.cookie(cookieName(state), secret, {
    httpOnly: true,
    sameSite: 'lax',
    secure: publicUrl.startsWith('https:'),
    path: CALLBACK_PATH,
    maxAge: lifeMs,
  });
}

/**
 * Mounted at the root of the client server.
 *
 * @see Matrix specification, client-server API, "SSO client login/authentication"
 */
export function ssoRouter(options: SsoRouterOptions): Router {
  const { publicUrl, accounts, provider, loginTokens, upstream, uia, oauthLogins, visits, limitLogin, log } = options;
  const secure = publicUrl.startsWith('https:');
  const router = express.Router();

  const begin = browserLogin(options);

  /** Continues after a log-in. @throws LoginError */
  async function goOn(
    request: Request,
    response: Response,
    { identity, purpose, grant }: FinishedLogin,
  ): Promise<void> {
    switch (purpose.kind) {
      case 'client': {
        const target = new URL(purpose.redirectUrl);
        const userId = await upstream.logIn(identity);
        const { token, secret } = await loginTokens.issueFor(target, { userId, grant });
        target.searchParams.set('loginToken', token);
        if (secret === undefined) {
          sendConfirmationPage(request, response, target);
          return;
        }
        sendTokenCookie(response, { token, secret, secure });
        response.redirect(302, target.href);
        return;
      }
      case 'uia': {
        const userId = await accounts.known(identity);
        if (userId === undefined || !uia.completeSso(purpose.session, userId)) {
          throw new LoginError('refused', 'Another user has logged in to confirm.');
        }
        sendDonePage(request, response);
        return;
      }
      case 'account':
        visits.enter(response, await upstream.logIn(identity), purpose.query);
        return;
      case 'oauth': {
        const next = await oauthLogins.finish(purpose.interaction, { userId: await upstream.logIn(identity), grant });
        response.redirect(302, publicUrl + next);
        return;
      }
    }
  }

  methods(router, '/_matrix/client/:version/auth/m.login.sso/fallback/web', {
    get: [
      limitLogin,
      async (request, response) => {
        const session = queryText(request, 'session') ?? '';
        const operation = uia.operationOf(session);
        if (operation === undefined)
          throw new MatrixError(404, 'M_NOT_FOUND', 'This session is unknown or has expired.');
        response.set('Cache-Control', 'no-store');
        // A URL that an attacker sends to a victim lacks what the page gave to the browser.
        const given = cookie(request, CONFIRM_COOKIE);
        if (given !== undefined && given !== '' && queryText(request, 'confirm') === given) {
          response.clearCookie(CONFIRM_COOKIE, { path: request.path });
          await begin(request, response, { kind: 'uia', session });
          return;
        }
        const confirm = newSecret('');
        response.cookie(CONFIRM_COOKIE, confirm, { httpOnly: true, sameSite: 'lax', secure, path: request.path });
        sendGravePage(request, response, operation, `?${new URLSearchParams({ session, confirm }).toString()}`);
      },
    ],
  });

  methods(router, '/_matrix/client/:version/login/sso/redirect{/:provider}', {
    get: [
      limitLogin,
      async (request, response) => {
        const redirectUrl = parseRedirectUrl(queryText(request, 'redirectUrl'));
        await begin(request, response, { kind: 'client', redirectUrl: redirectUrl.href });
      },
    ],
  });

  methods(router, CALLBACK_PATH, {
    get: [
      limitLogin,
      async (request, response) => {
        const query = new URL(request.originalUrl, publicUrl).searchParams;
        const state = query.get('state') ?? '';
        response.set('Cache-Control', 'no-store');
        try {
          const finished = await provider.finish(query, cookie(request, cookieName(state)));
          setCookie(options, response, state, '', 0);
          if ('url' in finished) sendOn(options, response, finished);
          else await goOn(request, response, finished);
        } catch (error) {
          if (error instanceof MatrixError && error.errcode === 'M_USER_DEACTIVATED') {
            sendFailurePage(request, response, 'refused');
            return;
          }
          if (!(error instanceof LoginError)) throw error;
          log.info({ err: error }, 'a log-in failed');
          sendFailurePage(request, response, error.code);
        }
      },
    ],
  });

  return router;
}

/** Our state is base64url; any other has no cookie. */
function cookieName(state: string): string {
  return `hansetag_login_${state.slice(0, 12).replace(/[^A-Za-z0-9_-]/g, '')}`;
}

/**
 * Web pages, and apps with a URI scheme made of a domain name; never `javascript:` and the like.
 *
 * @see RFC 8252, section 7.1
 */
function parseRedirectUrl(value: string | undefined): URL {
  if (value === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'redirectUrl is missing.');
  const url = value.length <= MAX_REDIRECT_URL && URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !(/^https?:$/.test(url.protocol) || /^[a-z][a-z0-9-]*\.[a-z0-9.+-]+:$/.test(url.protocol))) {
    throw new MatrixError(400, 'M_INVALID_PARAM', 'redirectUrl is not the URL of a web page or an app.');
  }
  return url;
}
