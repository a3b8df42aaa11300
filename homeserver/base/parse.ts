/** Helpers of the client routers. */
import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { Requester } from './requester.ts';
import { MatrixError } from './errors.ts';

/**
 * @throws MatrixError 400 M_BAD_JSON that names the first invalid member
 *
 * @throws MatrixError 400 M_BAD_JSON that names the first member that is wrong
 */
export function parseBody<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new MatrixError(400, 'M_BAD_JSON', `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'malformed'}`);
}

/** The requester; set by `requireSession`. */
export function requesterOf(response: Response): Requester {
  return response.locals['requester'] as Requester;
}

/** The requester where a request may come without log-in. */
export function requesterIn(response: Response): Requester | undefined {
  return response.locals['requester'] as Requester | undefined;
}

/** A path parameter. @param max the maximum length @param max of its characters */
export function parameter(request: Request, name: string, max = 255): string {
  const value = request.params[name];
  // PostgreSQL cannot store NUL in text, and no identifier has one.
  if (typeof value !== 'string' || value.length > max || value.includes('\0')) {
    throw new MatrixError(400, 'M_INVALID_PARAM', `${name} is missing or too long.`);
  }
  return value;
}

/** A query parameter that occurs at most once. */
export function queryText(request: Request, name: string): string | undefined {
  const value = request.query[name];
  return typeof value === 'string' ? value : undefined;
}

/** An integer query parameter, clamped to a maximum. */
export function queryNumber(request: Request, name: string, fallback: number, max: number): number {
  const value = Number(queryText(request, name) ?? fallback);
  if (!Number.isInteger(value) || value < 0) throw new MatrixError(400, 'M_INVALID_PARAM', `${name} is malformed.`);
  return Math.min(value, max);
}
