/**
 * Runs before every client router: requests with side effects are rate-limited, and refused if the account's standing
 * does not allow them. New endpoints get both by default. The request runs with its requester in an async context, so
 * that requests to other servers are known to be on their behalf.
 */
import type { Request, RequestHandler } from 'express';
import type { Askers } from '../accounts/askers.ts';
import { bearerToken } from '../accounts/require-session.ts';
import type { Origin, Sessions } from '../accounts/sessions.ts';
import type { Requester } from '../base/requester.ts';
import { isWrite, requireMayRequest } from '../accounts/standing.ts';
import { MatrixError } from '../base/errors.ts';
import type { RateLimits } from '../base/rate-limits.ts';

export interface FrontDoorOptions {
  readonly sessions: Sessions;
  readonly askers?: Askers;
  readonly limits: Pick<RateLimits, 'takeWriting'>;
}

/** Mounted at `/_matrix`, `/_synapse` and `/_hansetag`. */
export function frontDoor({ sessions, askers, limits }: FrontDoorOptions): RequestHandler {
  return async (request, _response, next) => {
    const token = tokenOf(request);
    if (isWrite(request.method)) {
      const origin = { ip: request.ip, userAgent: request.headers['user-agent'] };
      const requester = await requesterOf(token, sessions, origin);
      await limits.takeWriting(requester, request);
      if (requester) requireMayRequest(requester, request.method, request.originalUrl);
    }
    // The context only keeps the token: long-running work, such as a queue that was woken, does not keep the request in
    // memory.
    if (askers) askers.run(() => requesterOf(token, sessions), next);
    else next();
  };
}

/** The requester; undefined without a valid token, which each router handles itself. */
async function requesterOf(
  token: string | undefined,
  sessions: Sessions,
  origin?: Origin,
): Promise<Requester | undefined> {
  if (token === undefined) return undefined;
  try {
    return await sessions.authenticate(token, origin, true);
  } catch (error) {
    if (error instanceof MatrixError) return undefined;
    throw error;
  }
}

function tokenOf(request: Request): string | undefined {
  try {
    return bearerToken(request);
  } catch (error) {
    if (error instanceof MatrixError) return undefined;
    throw error;
  }
}
