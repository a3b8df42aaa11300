/** The log: JSON lines, without personal data and secrets. */
import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

/** From the least to the most verbose, and off. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How many nested causes are logged. */
const MAX_CAUSES = 4;

/**
 * Makes the log of a process.
 *
 * Of errors, only type, code, message and stack are logged: errors of libraries carry data as members, such as
 * parameters of an SQL statement (messages, token hashes) or the response to a token request.
 */
export function createLog(level: LogLevel, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { err: describeError } };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/**
 * For background work that handles its errors itself: one that escapes all the same is logged, and does not end the
 * process.
 *
 * @param what the log message
 */
export function unexpected(log: Logger, what: string): (error: unknown) => void {
  return (error) => log.error({ err: error }, what);
}

/** The logged form of an error. */
export function describeError(error: unknown, causes = 0): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    stack: error.stack,
    ...(error.cause instanceof Error && causes < MAX_CAUSES ? { cause: describeError(error.cause, causes + 1) } : {}),
  };
}

/** Path segments that are followed by a secret. Routers ignore case. */
const BEFORE_SECRETS = /\/(links|join|delayed_events)\/[^/]+/gi;

/**
 * The part of a URL that may be logged: without the query, which may have login tokens, and without secrets of guest
 * links and delay ids.
 */
export function loggablePath(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return path.replace(BEFORE_SECRETS, '/$1/-').slice(0, 1000);
}
