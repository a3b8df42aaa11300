/**
 * Stands before every router for people: whatever changes something is counted, and must be open to accounts of this
 * standing. A new endpoint has both without asking for it.
 */
import type { Request, RequestHandler } from 'express';
import { bearerToken } from '../accounts/require-session.ts';
import type { Requester, Sessions } from '../accounts/sessions.ts';
import { isWrite, requireMayRequest } from '../accounts/standing.ts';
import { MatrixError } from '../errors.ts';
import type { RateLimits } from '../rate-limits.ts';

/** What other servers ask; they have limits of their own. */
const OF_SERVERS = /^\/_matrix\/(?:key|federation)\//;

/** Mounted at `/_matrix`, `/_synapse` and `/_hansetag`. */
export function frontDoor(sessions: Sessions, limits: Pick<RateLimits, 'takeWriting'>): RequestHandler {
  return async (request, response, next) => {
    if (isWrite(request.method) && !OF_SERVERS.test(request.originalUrl)) {
      const requester = await requesterOf(request, sessions);
      await limits.takeWriting(requester, request, response);
      if (requester) requireMayRequest(requester, request.method, request.originalUrl);
    }
    next();
  };
}

/** Who asks; undefined without a good token, with which each router deals as it has to. */
async function requesterOf(request: Request, sessions: Sessions): Promise<Requester | undefined> {
  try {
    const origin = { ip: request.ip, userAgent: request.headers['user-agent'] };
    return await sessions.authenticate(bearerToken(request), origin, true);
  } catch (error) {
    if (error instanceof MatrixError) return undefined;
    throw error;
  }
}
