/** Failures of session requests, and how errors of other layers become one. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { ErrorCode, ProtocolError } from '../../../protocol/session.ts';
import { SfuError } from '../../../sfu/client.ts';
import { asRefusal } from '../../base/errors.ts';
import { TIME_LIMIT } from '../../base/names.ts';
import { SeatError } from '../conference/seat-turns.ts';

/** A request that was refused for a reason that the client can tell a person. */
export class ProtocolFailure extends Error {
  readonly code: ErrorCode;
  readonly organisation: string | undefined;
  constructor(code: ErrorCode, message: string, organisation?: string) {
    super(message);
    this.code = code;
    this.organisation = organisation;
  }
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof ProtocolFailure || error instanceof SeatError) return error.code;
  if (error instanceof z.ZodError) return 'bad-request';
  if (error instanceof SfuError) {
    if (error.code === 'worker-lost' || error.code === 'exhausted') return 'sfu-unavailable';
    if (error.code === 'not-found' || error.code === 'conflict' || error.code === 'bad-request') return error.code;
    return error.code === 'unsupported' ? 'bad-request' : 'internal';
  }
  const refusal = asRefusal(error);
  if (refusal && 'untrusted' in refusal.extra) return 'organisation-untrusted';
  if (refusal?.errcode === TIME_LIMIT) return 'time-limit';
  const status = refusal?.status ?? 500;
  if (status === 401) return 'unauthorised';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 413) return 'too-large';
  if (status === 429) return 'too-many-requests';
  if (status === 502 || status === 504) return 'organisation-unreachable';
  return status < 500 ? 'bad-request' : 'internal';
}

/**
 * What the client gets. Internal errors show no message, only a reference that finds the line in the log.
 *
 * @param organisationName the name to show for a server
 */
export function protocolError(
  error: unknown,
  organisationName: (server: string) => string,
): ProtocolError & { reference: string } {
  const code = codeOf(error);
  const reference = randomBytes(4).toString('hex');
  if (error instanceof z.ZodError) {
    const [issue] = error.issues;
    return { code, message: `Malformed request: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`, reference };
  }
  const message =
    code === 'internal' || !(error instanceof Error) ? 'Internal error.' : (asRefusal(error) ?? error).message;
  const { organisation, untrusted: reason, retry_after_ms: retryAfterMs } = detailsOf(error);
  return {
    code,
    message,
    reference,
    ...(typeof organisation === 'string' ? { organisation, organisationName: organisationName(organisation) } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs: Math.ceil(retryAfterMs) } : {}),
  };
}

function detailsOf(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof ProtocolFailure) return { organisation: error.organisation };
  return asRefusal(error)?.extra ?? {};
}
