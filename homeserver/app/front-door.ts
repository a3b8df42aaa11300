/**
 * Stands before every router for people: whatever changes something is counted, and must be open to accounts of this
 * standing. A new endpoint has both without asking for it. What a request leads to runs for whoever made it, so that it is
 * known for whom another server would be asked.
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
    // The asker holds the token alone: what goes on for long, such as a queue that was woken, does not keep the request.
    if (askers) askers.run(() => requesterOf(token, sessions), next);
    else next();
  };
}

/** Who asks; undefined without a good token, with which each router deals as it has to. */
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
