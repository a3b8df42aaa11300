/** Matrix errors, and the one place where errors become HTTP responses. */
import { randomBytes } from 'node:crypto';
import type { ErrorRequestHandler, Request, RequestHandler, Response, Router } from 'express';
import type { Logger } from 'pino';
import { IdentifierError } from '../../federation/identifiers.ts';
import { CanonicalJsonError } from '../../federation/json.ts';
import { isUnstorable } from '../database/errors.ts';

/**
 * An error that is sent to the client or server.
 *
 * @see Matrix specification, client-server API, "Standard error response"
 */
export class MatrixError extends Error {
  override readonly name = 'MatrixError';
  readonly status: number;
  readonly errcode: string;
  /** Further members of the response, such as `retry_after_ms`. */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(status: number, errcode: string, message: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.status = status;
    this.errcode = errcode;
    this.extra = extra;
  }
}

/** The limit of stored items is reached. @see Matrix specification, client-server API, "Common error codes" */
export function tooMuchKept(message: string): MatrixError {
  return new MatrixError(403, 'M_RESOURCE_LIMIT_EXCEEDED', message);
}

/** One item of a list; undefined when the requester may no longer see it, so that it is left out. */
export async function unlessInvisible<T>(item: Promise<T>): Promise<T | undefined> {
  try {
    return await item;
  } catch (error) {
    if (error instanceof MatrixError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
}

/**
 * Maps errors from below the routers to client errors: an invalid identifier, event, or text for the database. Schemas
 * catch most; what they let through is still not this server's fault.
 */
export function asRefusal(error: unknown): MatrixError | undefined {
  if (error instanceof MatrixError) return error;
  if (error instanceof URIError) return new MatrixError(400, 'M_INVALID_PARAM', 'The URL is malformed.');
  if (error instanceof IdentifierError) return new MatrixError(400, 'M_INVALID_PARAM', error.message);
  if (error instanceof CanonicalJsonError) return new MatrixError(400, 'M_BAD_JSON', error.message);
  if (isUnstorable(error))
    return new MatrixError(400, 'M_BAD_JSON', 'The text contains a character that cannot be stored.');
  // Errors of the body parsers of Express: a form that is too long or malformed.
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  if (typeof status !== 'number' || status < 400 || status > 499) return undefined;
  return new MatrixError(status, status === 413 ? 'M_TOO_LARGE' : 'M_INVALID_PARAM', 'The request is malformed.');
}

type Handler = (request: Request, response: Response) => unknown;

/** Routes a path by method; other methods get 405 and not 404, as the specification demands. */
export function methods(
  router: Router,
  path: string,
  handlers: Partial<Record<'get' | 'put' | 'post' | 'delete', Handler | readonly RequestHandler[]>>,
): void {
  const route = router.route(path);
  for (const [method, handler] of Object.entries(handlers)) {
    const list = typeof handler === 'function' ? [wrapped(handler)] : [...handler];
    route[method as 'get'](...list);
  }
  route.all(() => {
    throw new MatrixError(405, 'M_UNRECOGNIZED', 'This method is not supported for this path.');
  });
}

function wrapped(handler: Handler): RequestHandler {
  return async (request, response) => {
    await handler(request, response);
  };
}

/** The last handler: 404 for everything that no other handled. */
export const unknownPath: RequestHandler = () => {
  throw new MatrixError(404, 'M_UNRECOGNIZED', 'Unknown path.');
};

/** Turns errors into responses. Unexpected errors get a reference that finds them in the log. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  // Express recognises error handlers by their four parameters.
  return (error: unknown, request, response, _next) => {
    // The client disconnected during its request or before we had read it: nobody waits for a response, and nothing
    // failed here.
    if (request.socket.destroyed || (request.destroyed && !request.complete)) return;
    if (response.headersSent) {
      response.end();
      return;
    }
    const refusal = asRefusal(error);
    if (refusal) {
      const waitMs = refusal.extra?.['retry_after_ms'];
      if (typeof waitMs === 'number') response.setHeader('Retry-After', Math.ceil(waitMs / 1000));
      response.status(refusal.status).json({ errcode: refusal.errcode, error: refusal.message, ...refusal.extra });
      return;
    }
    const reference = randomBytes(4).toString('hex');
    log.error({ err: error, reference }, 'a request failed');
    response.status(500).json({
      errcode: 'M_UNKNOWN',
      error: `Something went wrong on this server (reference ${reference}).`,
      reference,
    });
  };
}
