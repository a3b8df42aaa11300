/** Log-in through the browser: out to the identity provider and back to the client with a login token. */
import express from 'express';
import type { RequestHandler, Response, Router } from 'express';
import type { Logger } from 'pino';
import type { Accounts } from '../accounts/accounts.ts';
import { cookie } from '../accounts/cookies.ts';
import type { LoginTokens } from '../accounts/login-tokens.ts';
import { LOGIN_LIFE_MS, LoginError } from '../accounts/oidc.ts';
import type { IdentityProvider } from '../accounts/oidc.ts';
import { sendConfirmationPage, sendFailurePage } from '../accounts/pages.ts';
import { methods, MatrixError } from '../errors.ts';
import { queryText } from './parse.ts';

/** Where the identity provider sends people back to, below the public address. */
export const CALLBACK_PATH = '/_hansetag/client/v1/login/callback';

export interface SsoRouterOptions {
  readonly publicUrl: string;
  readonly accounts: Accounts;
  readonly provider: IdentityProvider;
  readonly loginTokens: LoginTokens;
  readonly limitLogin: RequestHandler;
  readonly log: Logger;
}

const MAX_REDIRECT_URL = 2048;

/**
 * Mounted at the root of the client server.
 *
 * @see Matrix specification, client-server API, "SSO client login/authentication"
 */
export function ssoRouter(options: SsoRouterOptions): Router {
  const { publicUrl, accounts, provider, loginTokens, limitLogin, log } = options;
  const ownOrigin = new URL(publicUrl).origin;
  const secure = publicUrl.startsWith('https:');
  const router = express.Router();

  function setCookie(response: Response, state: string, secret: string, lifeMs: number): void {
    // Each log-in has its own cookie, so that two tabs do not disturb each other.
    response.cookie(cookieName(state), secret, {
      httpOnly: true,
      sameSite: 'lax',
      secure,
      path: CALLBACK_PATH,
      maxAge: lifeMs,
    });
  }

  methods(router, '/_matrix/client/v3/login/sso/redirect{/:provider}', {
    get: [
      limitLogin,
      async (request, response) => {
        const redirectUrl = parseRedirectUrl(queryText(request, 'redirectUrl'));
        response.set('Cache-Control', 'no-store');
        try {
          const { url, state, browserSecret } = await provider.start(redirectUrl.href);
          setCookie(response, state, browserSecret, LOGIN_LIFE_MS);
          response.redirect(302, url.href);
        } catch (error) {
          if (!(error instanceof LoginError)) throw error;
          sendFailurePage(request, response, error.code);
        }
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
          const { identity, redirectUrl } = await provider.finish(query, cookie(request, cookieName(state)));
          setCookie(response, state, '', 0);
          const target = new URL(redirectUrl);
          target.searchParams.set('loginToken', loginTokens.issue(await accounts.logIn(identity)));
          if (target.origin === ownOrigin) response.redirect(302, target.href);
          else sendConfirmationPage(request, response, target);
        } catch (error) {
          if (!(error instanceof LoginError)) throw error;
          log.info({ err: error }, 'a log-in failed');
          sendFailurePage(request, response, error.code);
        }
      },
    ],
  });

  return router;
}

/** A state of ours is base64url; anything else finds no cookie. */
function cookieName(state: string): string {
  return `hansetag_login_${state.slice(0, 12).replace(/[^A-Za-z0-9_-]/g, '')}`;
}

/**
 * Web pages, and apps that have registered a scheme made of a domain name; never `javascript:` and the like.
 *
 * @see RFC 8252, section 7.1
 */
function parseRedirectUrl(value: string | undefined): URL {
  if (value === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'redirectUrl is missing.');
  const url = value.length <= MAX_REDIRECT_URL && URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !(/^https?:$/.test(url.protocol) || /^[a-z][a-z0-9-]*\.[a-z0-9.+-]+:$/.test(url.protocol))) {
    throw new MatrixError(400, 'M_INVALID_PARAM', 'redirectUrl is not the address of a web page or an app.');
  }
  return url;
}
