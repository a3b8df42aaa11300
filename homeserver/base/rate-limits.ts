/** How often somebody may ask. Counted in memory: a restart forgives. */
import { isIPv6 } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Requester } from './requester.ts';
import { MatrixError } from './errors.ts';
import {
  ANONYMOUS_RATE,
  GUEST_WRITING_RATE,
  LOGIN_RATE,
  SENDING_RATE,
  TO_DEVICE_RATE,
  UNKNOWN_WRITING_RATE,
  LOOK_UPS_AT_ONCE,
  UNPROVEN_RATE,
  UPLOAD_RATE,
  UPLOADED_BYTES_RATE,
  WRITING_RATE,
} from './limits.ts';
import type { Rate } from './limits.ts';

/** A look-up ends within seconds: then there is room for the next. */
const LOOK_UP_WAIT_MS = 3_000;

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
  /** Messages to devices, by user; needs `requireSession` before. */
  readonly toDevice: RequestHandler;
  /** Counts a file. @throws MatrixError 429 when the user has sent too much lately */
  readonly takeUploaded: (userId: string, bytes: number) => Promise<void>;
  /**
   * Counts whatever changes something: by user, or by address for who is not logged in.
   *
   * @throws MatrixError 429
   */
  readonly takeWriting: (requester: Requester | undefined, request: Request) => Promise<void>;
}

/** How much an address may ask for without proof of who asks. */
export interface UnprovenLimit {
  /** Counts a request that failed before its sender was proven. Never throws. */
  count(request: Request): Promise<void>;
  /** Counts something that costs us much before anything is proven. @throws MatrixError 429 when it was too much */
  demand(request: Request): Promise<void>;
  /**
   * Looks something up at a server that only the request names. Of one address few such look-ups are under way at a
   * time, so that names that lead to silence hold up their sender alone.
   *
   * @throws MatrixError 429 when there are too many already
   */
  lookUp<T>(request: Request, task: () => Promise<T>): Promise<T>;
}

/** @param factor every limit is multiplied by it; 0 turns them off */
export function rateLimits(factor: number): RateLimits {
  const requester = (_request: Request, response: Response): string =>
    (response.locals['requester'] as Requester).userId;
  const sending = limiter(SENDING_RATE, factor);
  const uploaded = limiter(UPLOADED_BYTES_RATE, factor);
  const [writing, guests, unknown] = [WRITING_RATE, GUEST_WRITING_RATE, UNKNOWN_WRITING_RATE].map((rate) =>
    limiter(rate, factor),
  );
  return {
    anonymous: limited(limiter(ANONYMOUS_RATE, factor), (request) => addressKey(request.ip)),
    login: limited(limiter(LOGIN_RATE, factor), (request) => addressKey(request.ip)),
    sending: limited(sending, requester),
    takeSending: async (userId) => {
      await sending?.(userId);
    },
    uploads: limited(limiter(UPLOAD_RATE, factor), requester),
    toDevice: limited(limiter(TO_DEVICE_RATE, factor), requester),
    takeUploaded: async (userId, bytes) => {
      await uploaded?.(userId, bytes);
    },
    takeWriting: async (asker, request) => {
      if (!asker) await unknown?.(addressKey(request.ip));
      else await (asker.guest ? guests : writing)?.(asker.userId);
    },
  };
}

/** Counts for a key; undefined where there is no limit. @throws MatrixError 429 */
type Take = ((key: string, count?: number) => Promise<void>) | undefined;

function limiter({ points, seconds }: Rate, factor: number): Take {
  if (factor === 0) return undefined;
  const memory = new RateLimiterMemory({ points: Math.max(1, Math.floor(points * factor)), duration: seconds });
  return async (key, count = 1) => {
    await memory.consume(key, count).catch((error: unknown) => {
      throw tooMany(error);
    });
  };
}

function limited(take: Take, key: (request: Request, response: Response) => string): RequestHandler {
  if (!take) return (_request, _response, next) => next();
  return async (request, response, next) => {
    await take(key(request, response));
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
  if (factor === 0) {
    return { count: () => Promise.resolve(), demand: () => Promise.resolve(), lookUp: (_request, task) => task() };
  }
  const underWay = new Map<string, number>();
  const limiter = new RateLimiterMemory({
    points: Math.max(1, Math.floor(UNPROVEN_RATE.points * factor)),
    duration: UNPROVEN_RATE.seconds,
  });
  return {
    async count(request) {
      await limiter.penalty(addressKey(request.ip));
    },
    async demand(request) {
      const spent = await limiter.get(addressKey(request.ip));
      if (spent !== null && spent.remainingPoints <= 0) throw tooMany(spent);
    },
    async lookUp(request, task) {
      const key = addressKey(request.ip);
      const before = underWay.get(key) ?? 0;
      if (before >= LOOK_UPS_AT_ONCE) {
        throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many names are being looked up for your address.', {
          retry_after_ms: LOOK_UP_WAIT_MS,
        });
      }
      underWay.set(key, before + 1);
      try {
        return await task();
      } finally {
        const left = (underWay.get(key) ?? 1) - 1;
        if (left > 0) underWay.set(key, left);
        else underWay.delete(key);
      }
    },
  };
}

/** @returns the error for the asker, or what else went wrong */
function tooMany(reason: unknown): unknown {
  if (!(reason instanceof RateLimiterRes)) return reason;
  return new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many requests. Please wait a moment.', {
    retry_after_ms: Math.max(1, reason.msBeforeNext),
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
