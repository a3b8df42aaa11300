import type { Request, RequestHandler } from 'express';
import { MatrixError } from '../base/errors.ts';
import type { Sessions } from './sessions.ts';

/** Longer than any valid token. */
const MAX_TOKEN_LENGTH = 200;

/**
 * Middleware that requires an access token and sets `response.locals.requester`. A token in the query is accepted too,
 * since older clients send it there; queries are never logged.
 *
 * @param evenLocked whether locked users are allowed
 * @see Matrix specification, client-server API, "Using access tokens"
 */
export function requireSession(sessions: Sessions, evenLocked = false): RequestHandler {
  return async (request, response, next) => {
    const origin = { ip: request.ip, userAgent: request.headers['user-agent'] };
    response.locals['requester'] = await sessions.authenticate(bearerToken(request), origin, evenLocked);
    next();
  };
}

/**
 * The access token of a request. @throws MatrixError 401 when it is missing
 *
 * @throws MatrixError 401 when there is none
 */
export function bearerToken(request: Request): string {
  const { authorization } = request.headers;
  const [, header] = /^Bearer +([^\s]+)$/i.exec(authorization ?? '') ?? [];
  const { access_token: query } = request.query;
  const token = authorization === undefined ? query : header;
  if (typeof token !== 'string' || token === '')
    throw new MatrixError(401, 'M_MISSING_TOKEN', 'You are not logged in.');
  if (token.length > MAX_TOKEN_LENGTH) {
    throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'You are no longer logged in. Please log in again.', {
      soft_logout: false,
    });
  }
  return token;
}
