/** The cookie that binds a login token to the browser in which our own pages have begun the log-in. */
import type { Request, Response } from 'express';
import { cookie } from '../base/cookies.ts';
import { LOGIN_TOKEN_LIFE_MS } from './login-tokens.ts';
import type { TokenProof } from './login-tokens.ts';
import { hashSecret } from './secrets.ts';

/** Where our pages exchange tokens. */
const EXCHANGE_PATH = '/_matrix/client/v3/login';

export function sendTokenCookie(
  response: Response,
  { token, secret, secure }: { readonly token: string; readonly secret: string; readonly secure: boolean },
): void {
  const life = { path: EXCHANGE_PATH, maxAge: LOGIN_TOKEN_LIFE_MS };
  response.cookie(nameOf(token), secret, { httpOnly: true, sameSite: 'lax', secure, ...life });
}

/** What a request shows for its token. */
export function tokenProof(request: Request, token: string): TokenProof {
  return { origin: request.headers.origin, secret: cookie(request, nameOf(token)) };
}

/** The browser need not keep it any longer. */
export function clearTokenCookie(request: Request, response: Response, token: string): void {
  const name = nameOf(token);
  if (cookie(request, name) !== undefined) response.clearCookie(name, { path: EXCHANGE_PATH });
}

/** Each token has its own cookie, so that two tabs do not interfere. The name does not give the token away. */
function nameOf(token: string): string {
  return `hansetag_token_${hashSecret(token).toString('base64url').slice(0, 12)}`;
}
