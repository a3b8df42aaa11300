/** Errors as Matrix knows them, and the one place where they become HTTP answers. */
import { randomBytes } from 'node:crypto';
import type { ErrorRequestHandler, Request, RequestHandler, Response, Router } from 'express';
import type { Logger } from 'pino';

/** An error that the asker is told. @see Matrix specification, client-server API, "Standard error response" */
export class MatrixError extends Error {
  override readonly name = 'MatrixError';
  readonly status: number;
  readonly errcode: string;
  /** Further members of the answer, such as `retry_after_ms`. */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(status: number, errcode: string, message: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.status = status;
    this.errcode = errcode;
    this.extra = extra;
  }
}

/** One item of a list; undefined when the asker may not know of it any more, so that it is left out of the list. */
export async function unlessInvisible<T>(item: Promise<T>): Promise<T | undefined> {
  try {
/** Somebody keeps as many things as they may. @see Matrix specification, client-server API, "Common error codes" */
export function tooMuchKept(message: string): MatrixError {
  return new MatrixError(403, 'M_RESOURCE_LIMIT_EXCEEDED', message);
}

    return await item;
  } catch (error) {
    if (error instanceof MatrixError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
}

type Handler = (request: Request, response: Response) => unknown;

/** Handles a path by method; any other method gets 405 and not 404, as the specification demands. */
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
    throw new MatrixError(405, 'M_UNRECOGNIZED', 'This method is not supported here.');
  });
}

function wrapped(handler: Handler): RequestHandler {
  return async (request, response) => {
    await handler(request, response);
  };
}

/** The last handler: 404 for what nobody else answered. */
export const unknownPath: RequestHandler = () => {
  throw new MatrixError(404, 'M_UNRECOGNIZED', 'There is nothing at this address.');
};

/** Turns errors into answers. What we did not foresee gets a reference that finds it in the log. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  // Express recognises error handlers by their four parameters.
  return (error: unknown, request, response, _next) => {
    // Who asked was cut off in the middle of the question: nobody waits for an answer, and nothing failed here.
    if (request.destroyed && !request.complete) return;
    if (response.headersSent) {
      response.end();
      return;
    }
    if (error instanceof MatrixError) {
      response.status(error.status).json({ errcode: error.errcode, error: error.message, ...error.extra });
      return;
    }
    if (error instanceof URIError) {
      response.status(400).json({ errcode: 'M_INVALID_PARAM', error: 'The address is malformed.' });
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
