/** Rate limits, counted in memory: a restart resets them. */
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

/** Look-ups end within seconds. */
const LOOK_UP_WAIT_MS = 3_000;

export interface RateLimits {
  /** Unauthenticated requests, by IP address. */
  readonly anonymous: RequestHandler;
  /** Log-in steps and token exchanges, by IP address. */
  readonly login: RequestHandler;
  /** Invalid logout tokens of the identity provider's back channel, by IP address. */
  readonly backChannel: UnprovenLimit;
  /** Events and rooms, by user; after `requireSession`. */
  readonly sending: RequestHandler;
  /** The same limit for events that are not sent by HTTP. @throws MatrixError 429 @throws MatrixError 429 */
  readonly takeSending: (userId: string) => Promise<void>;
  /** Uploads and URL previews, by user; after `requireSession`. */
  readonly uploads: RequestHandler;
  /** To-device messages, by user; after `requireSession`. */
  readonly toDevice: RequestHandler;
  /**
   * Counts the bytes of an upload. @throws MatrixError 429 when the user has uploaded too much lately
   *
   * @throws MatrixError 429 when the user has sent too much lately
   */
  readonly takeUploaded: (userId: string, bytes: number) => Promise<void>;
  /**
   * Counts requests with side effects: by user, or by IP address without log-in.
   *
   * @throws MatrixError 429
   */
  readonly takeWriting: (requester: Requester | undefined, request: Request) => Promise<void>;
}

/** Limits for an IP address whose requests are not authenticated. */
export interface UnprovenLimit {
  /** Counts a request that failed before its sender was authenticated. Never throws. */
  count(request: Request): Promise<void>;
  /**
   * Checks the limit before expensive work for an unauthenticated sender. @throws MatrixError 429 when it is exceeded
   *
   * @throws MatrixError 429 when it was too much
   */
  demand(request: Request): Promise<void>;
  /**
   * Runs a look-up at a server that is only named in a request. Per IP address, few look-ups run at a time, so that
   * unresponsive names only delay their sender.
   *
   * @throws MatrixError 429 when too many are running
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
    backChannel: unprovenLimit(factor),
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

/** Counts for a key; undefined without a limit. @throws MatrixError 429 */
export type Take = ((key: string, count?: number) => Promise<void>) | undefined;

/** @param factor as for `rateLimits` */
export function limiter({ points, seconds }: Rate, factor: number): Take {
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
 * For other servers, by IP address: wrong signatures, keys that have to be fetched, and long bodies of unauthenticated
 * senders cost us work. Servers with known keys and short requests are never limited by it.
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
        throw new MatrixError(
          429,
          'M_LIMIT_EXCEEDED',
          'Too many servers are being looked up for your IP address. Try again in a few seconds.',
          {
            retry_after_ms: LOOK_UP_WAIT_MS,
          },
        );
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

/**
 * @returns the error for the client, or any other error unchanged
 *
 * @returns the error for the asker, or what else went wrong
 */
function tooMany(reason: unknown): unknown {
  if (!(reason instanceof RateLimiterRes)) return reason;
  return new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many requests. Please try again in a moment.', {
    retry_after_ms: Math.max(1, reason.msBeforeNext),
  });
}

/** One key per household or office network: an IPv4 address, or the /64 of an IPv6 address. */
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
