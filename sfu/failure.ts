/** Errors in the form for the homeserver. */
import { errors as mediasoupErrors } from 'mediasoup';
import { z } from 'zod';
import { SfuError, type SfuErrorCode } from './errors.ts';
import type { SfuErrorBody } from './protocol.ts';

const MESSAGE_LIMIT = 1024;

/**
 * Maps an error to one for the homeserver. mediasoup throws `TypeError` for inconsistent arguments, its own classes for
 * what is closed or unknown, and plain errors for refusals of the worker.
 */
export function toErrorBody(error: unknown): SfuErrorBody {
  return { code: codeOf(error), message: messageOf(error).slice(0, MESSAGE_LIMIT) };
}

function codeOf(error: unknown): SfuErrorCode {
  if (error instanceof SfuError) return error.code;
  if (error instanceof mediasoupErrors.WorkerClosedError) return 'worker-lost';
  if (error instanceof mediasoupErrors.NotFoundError) return 'not-found';
  if (error instanceof mediasoupErrors.UnsupportedError) return 'unsupported';
  if (error instanceof z.ZodError || error instanceof TypeError) return 'bad-request';
  // The worker distinguishes its refusals by message only, such as two producers of a transport with one SSRC.
  if (error instanceof Error && /\balready (exists|in use)\b/.test(error.message)) return 'conflict';
  if (error instanceof Error && /^no more available ports\b/.test(error.message)) return 'exhausted';
  return 'internal';
}

function messageOf(error: unknown): string {
  if (error instanceof z.ZodError) {
    // Only the paths, never the values, which may contain keys.
    return `malformed: ${error.issues.map((issue) => issue.path.join('.') || '(root)').join(', ')}`;
  }
  return error instanceof Error ? error.message : 'unknown failure';
}
