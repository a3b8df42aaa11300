/** How often somebody may ask. Counted in memory: a restart forgives. */
import { isIPv6 } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Requester } from './accounts/sessions.ts';
import { MatrixError } from './errors.ts';

export interface RateLimits {
  /** Requests without log-in, by address. */
  readonly anonymous: RequestHandler;
  /** Steps of a log-in and exchanges of tokens, by address. */
  readonly login: RequestHandler;
  /** Events and rooms, by user; needs `requireSession` before. */
  readonly sending: RequestHandler;
  /** Files and previews of pages, by user; needs `requireSession` before. */
  readonly uploads: RequestHandler;
}

/** Many people of one authority may share an address. */
const ANONYMOUS = { points: 600, seconds: 60 };
const LOGIN = { points: 200, seconds: 60 };
const SENDING = { points: 200, seconds: 10 };
const UPLOADS = { points: 120, seconds: 60 };

/** @param factor every limit is multiplied by it; 0 turns them off */
export function rateLimits(factor: number): RateLimits {
  return {
    anonymous: limited(ANONYMOUS, factor, (request) => addressKey(request.ip)),
    login: limited(LOGIN, factor, (request) => addressKey(request.ip)),
    sending: limited(SENDING, factor, (_request, response) => (response.locals['requester'] as Requester).userId),
    uploads: limited(UPLOADS, factor, (_request, response) => (response.locals['requester'] as Requester).userId),
  };
}

function limited(
  { points, seconds }: { points: number; seconds: number },
  factor: number,
  key: (request: Request, response: Response) => string,
): RequestHandler {
  if (factor === 0) return (_request, _response, next) => next();
  const limiter = new RateLimiterMemory({ points: Math.max(1, Math.floor(points * factor)), duration: seconds });
  return async (request, response, next) => {
    try {
      await limiter.consume(key(request, response));
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      const waitMs = Math.max(1, error.msBeforeNext);
      response.setHeader('Retry-After', Math.ceil(waitMs / 1000));
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many requests. Please wait a moment.', {
        retry_after_ms: waitMs,
      });
    }
    next();
  };
}

/** One key for each network that one household or office has: an IPv4 address, or the /64 of an IPv6 address. */
export function addressKey(address: string | undefined): string {
  const plain = (address ?? '').replace(/^::ffff:(?=[0-9.]+$)/, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length;
    while (groups.length + after < 8) groups.push('0');
  }
  return groups.slice(0, 4).join(':');
}
