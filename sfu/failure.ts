/** What went wrong, as the homeserver is told. */
import { errors as mediasoupErrors } from 'mediasoup';
import { z } from 'zod';
import { SfuError, type SfuErrorCode } from './errors.ts';
import type { SfuErrorBody } from './protocol.ts';

const MESSAGE_LIMIT = 1024;

/**
 * What a failure means to the homeserver. mediasoup throws `TypeError` for arguments that do not fit each other,
 * its own classes for what is closed or unknown, and plain errors for refusals of the worker.
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
  // The worker tells its refusals apart only by their texts: two producers of a transport with one SSRC, for instance.
  if (error instanceof Error && /\balready (exists|in use)\b/.test(error.message)) return 'conflict';
  if (error instanceof Error && /^no more available ports\b/.test(error.message)) return 'exhausted';
  return 'internal';
}

function messageOf(error: unknown): string {
  if (error instanceof z.ZodError) {
    // Only the places, never the values: they may hold keys.
    return `malformed: ${error.issues.map((issue) => issue.path.join('.') || '(root)').join(', ')}`;
  }
  return error instanceof Error ? error.message : 'unknown failure';
}
