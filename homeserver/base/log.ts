/** The log: JSON lines, without anything that is nobody else's business. */
import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

/** From the fewest lines to the most; and none at all. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Causes of causes that are still written. */
const MAX_CAUSES = 4;

/**
 * Makes the log of a process.
 *
 * Of an error only type, code, message and stack are written: errors of libraries carry what they were working on as
 * members, such as the parameters of an SQL statement (messages, hashes of tokens) or the answer to a token request.
 */
export function createLog(level: LogLevel, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { err: describeError } };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/**
 * For work in the background that deals with its errors itself: one that gets out all the same is logged, and does not
 * end the process.
 * @param what that was not done, for the log
 */
export function unexpected(log: Logger, what: string): (error: unknown) => void {
  return (error) => log.error({ err: error }, what);
}

/** What the log says of an error. */
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

/** Parts of a path after which a secret stands: who knows it may act. Routers do not look at capitals. */
const BEFORE_SECRETS = /\/(links|join|delayed_events)\/[^/]+/gi;

/**
 * The part of a request's address that may be logged: without the query, where tokens of a log-in stand, and without
 * the secret of a guest link or a delayed event.
 */
export function loggablePath(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return path.replace(BEFORE_SECRETS, '/$1/-').slice(0, 1000);
}
