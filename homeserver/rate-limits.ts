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
  /** The same count for what comes by another way than HTTP. @throws MatrixError 429 */
  readonly takeSending: (userId: string) => Promise<void>;
  /** Files and previews of pages, by user; needs `requireSession` before. */
  readonly uploads: RequestHandler;
}

/** How much an address may ask for without proof of who asks. */
export interface UnprovenLimit {
  /** Counts a request that failed before its sender was proven. Never throws. */
  count(request: Request): Promise<void>;
  /** Counts something that costs us much before anything is proven. @throws MatrixError 429 when it was too much */
  demand(request: Request): Promise<void>;
}

/** Many people of one authority may share an address. */
const ANONYMOUS = { points: 600, seconds: 60 };
const LOGIN = { points: 200, seconds: 60 };
const SENDING = { points: 200, seconds: 10 };
const UPLOADS = { points: 120, seconds: 60 };
const UNPROVEN = { points: 30, seconds: 60 };

/** @param factor every limit is multiplied by it; 0 turns them off */
export function rateLimits(factor: number): RateLimits {
  const requester = (_request: Request, response: Response): string =>
    (response.locals['requester'] as Requester).userId;
  const sending = limiter(SENDING, factor);
  return {
    anonymous: limited(limiter(ANONYMOUS, factor), (request) => addressKey(request.ip)),
    login: limited(limiter(LOGIN, factor), (request) => addressKey(request.ip)),
    sending: limited(sending, requester),
    takeSending: async (userId) => {
      await sending?.(userId);
    },
    uploads: limited(limiter(UPLOADS, factor), requester),
  };
}

/** Counts one for a key; undefined where there is no limit. @throws MatrixError 429, which the response is told of */
type Take = ((key: string, response?: Response) => Promise<void>) | undefined;

function limiter({ points, seconds }: { points: number; seconds: number }, factor: number): Take {
  if (factor === 0) return undefined;
  const memory = new RateLimiterMemory({ points: Math.max(1, Math.floor(points * factor)), duration: seconds });
  return async (key, response) => {
    await memory.consume(key).catch((error: unknown) => {
      throw tooMany(error, response);
    });
  };
}

function limited(take: Take, key: (request: Request, response: Response) => string): RequestHandler {
  if (!take) return (_request, _response, next) => next();
  return async (request, response, next) => {
    await take(key(request, response), response);
    next();
  };
}

/**
 * Other servers, by address: a wrong signature, a key that must be fetched first, and a long body whose sender is not
 * proven cost us work. Servers whose keys are known and whose requests are short are never held up by it.
 *
 * @param factor as for `rateLimits`
 */
export function unprovenLimit(factor: number): UnprovenLimit {
  if (factor === 0) return { count: () => Promise.resolve(), demand: () => Promise.resolve() };
  const limiter = new RateLimiterMemory({
    points: Math.max(1, Math.floor(UNPROVEN.points * factor)),
    duration: UNPROVEN.seconds,
  });
  return {
    async count(request) {
      await limiter.penalty(addressKey(request.ip));
    },
    async demand(request) {
      const spent = await limiter.get(addressKey(request.ip));
      if (spent !== null && spent.remainingPoints <= 0) throw tooMany(spent, request.res);
    },
  };
}

/** @returns the error for the asker, or what else went wrong */
function tooMany(reason: unknown, response: Response | undefined): unknown {
  if (!(reason instanceof RateLimiterRes)) return reason;
  const waitMs = Math.max(1, reason.msBeforeNext);
  response?.setHeader('Retry-After', Math.ceil(waitMs / 1000));
  return new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many requests. Please wait a moment.', {
    retry_after_ms: waitMs,
  });
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
